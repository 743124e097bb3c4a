"""Facts of group `policy`, as manifests have them."""

from __future__ import annotations

from typing import Any

import pytest

from teams_dagster.core.metadata import Table
from teams_dagster.store.facts.policy import ComparisonFacts, PolicyFacts

RULES = {"provider": "offline", "model": "rules", "base_url": "", "rules_version": "1", "structured": None}


@pytest.fixture
def recorded() -> dict[str, Any]:
    return {
        "algorithm": "trpo",
        "return": 3.5,
        "accepted_per_query": 0.4,
        "accepted_per_episode": 4.7,
        "reward_variance": 0.2,
        "entropy": 0.6,
        "kl": None,
        "explained_variance": None,
        "iterations": 26,
        "questions": 9_343,
        "guidance_queries": 0,
        "fallbacks": 0,
        "stopped_early": False,
        "cost_nano_usd": 2_500_000_000,
        "unpriced": 0,
        "flat_reward": False,
        "reviews_an_edit": 2,
        "soft_reward": True,
        "pairs_in_both_orders": 1_200,
        "orders_disagree": 0.07,
        "order_difference": 0.03,
        "verdicts_without_probability": 0,
        "edits_without_tokens": None,
        "operation_mix": {"breadth": 0.25, "none": 0.75},
        "instructor": RULES,
        "reviewer": RULES,
        "asking": {"episodes": 832},
        "outcomes": {},
        "preflight": [],
        "unanswered": 0,
        "own_steps": None,
        "out_of_budget": False,
    }


def test_a_policys_facts_are_written_as_they_were_read(recorded: dict[str, Any]):
    assert PolicyFacts.model_validate(recorded).model_dump(mode="json") == recorded


def test_a_policys_money_is_shown_in_dollars_and_its_operations_as_shares(recorded: dict[str, Any]):
    shown = PolicyFacts.model_validate(recorded).shown()
    assert shown["cost_usd"] == 2.5
    assert shown["operation_mix"] == Table(
        ("operation", "share, last iteration"), [("breadth", "25.0%"), ("none", "75.0%")]
    )


def test_what_a_training_did_not_measure_is_not_shown(recorded: dict[str, Any]):
    shown = PolicyFacts.model_validate(recorded).shown()
    assert not {"kl", "explained_variance"} & set(shown)


def test_a_policy_recorded_before_verdicts_had_orders_was_reviewed_once_an_edit(recorded: dict[str, Any]):
    later = ("reviews_an_edit", "soft_reward", "pairs_in_both_orders", "orders_disagree", "order_difference")
    earlier = {name: value for name, value in recorded.items() if name not in later}
    facts = PolicyFacts.model_validate(earlier)
    assert (facts.reviews_an_edit, facts.soft_reward) == (1, False)
    assert "orders_disagree" not in facts.shown()


def test_a_comparison_recorded_before_queries_were_counted_is_read():
    earlier = {"flat_reward": False, "seeds": 93, "training_seeds": 5, "questions_per_seed": 24}
    facts = ComparisonFacts.model_validate(earlier)
    assert (facts.asking, facts.outcomes, facts.unanswered, facts.reward_variance) == ({}, {}, 0, {})
