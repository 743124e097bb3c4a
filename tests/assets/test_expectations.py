"""What each paid step will ask, before it asks: certain bounds, and what earlier steps asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assets.dataset.generated_instructions import generated_instructions
from assets.policy.policy_comparison import policy_comparison
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import ModelIdentity, Purpose, Role
from teams_dagster.environment.state import HORIZON
from teams_dagster.instructions.prompts import use_prompts
from teams_dagster.instructions.requests import respond_query
from teams_dagster.policy.query_forecast import (
    UNTRAINED,
    EpisodeStats,
    answering_later,
    last_stats,
    mean_bytes,
    rewriting,
    still_open,
)
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.policy import PolicyFacts
from tests.support.project import Project

SEEDS = [Instruction(f"Name {number} rivers of Europe.") for number in range(1_000)]
WEEK = "2026-11-02"


def made(tmp_path: Path, **facts: Any) -> Artefact:
    artefact = Artefact(tmp_path)
    artefact.__dict__["manifest"] = {"facts": facts}
    return artefact


def trained(tmp_path: Path, **facts: Any) -> Artefact:
    rules = ModelIdentity("offline", "rules")
    figures = {"mean_return": 0.0, "reward_variance": 0.1, "entropy": 1.0, "iterations": 1, "questions": 1}
    recorded = PolicyFacts(**figures, **facts, flat_reward=False, instructor=rules, reviewer=rules)
    return made(tmp_path, **recorded.model_dump(mode="json"))


def test_no_episode_asks_more_than_a_rewrite_and_a_review_a_step():
    rewrites, reviews = rewriting(Role.EXPERT, 100, SEEDS, [], UNTRAINED)
    assert (rewrites.role, rewrites.purpose) == (Role.EXPERT, Purpose.REWRITE)
    assert (reviews.role, reviews.purpose) == (Role.REVIEWER, Purpose.REVIEW)
    assert rewrites.most == reviews.most == 100 * HORIZON
    assert 0 < rewrites.least < rewrites.likely < rewrites.most
    assert rewrites.max_tokens > reviews.max_tokens


def test_what_earlier_episodes_asked_is_likely_to_be_asked_again():
    seen = [EpisodeStats(5, 4, 3, 2, 2), EpisodeStats(4, 4, 3, 2, 3)]
    rewrites, reviews = rewriting(Role.INSTRUCTOR, 100, SEEDS, seen, UNTRAINED)
    assert (rewrites.least, rewrites.likely) == (320, 450)
    assert rewrites.repeated == pytest.approx(1 - 3 / 4.5)
    assert (reviews.least, reviews.likely, reviews.repeated) == (320, 400, 0.5)
    [answers] = answering_later(100, SEEDS, seen, UNTRAINED)
    assert (answers.least, answers.likely, answers.most) == (160, 250, 600)


def test_prompts_are_measured_as_they_are_sent():
    question = respond_query(SEEDS[0])
    assert mean_bytes([question]) == sum(len(m.content.encode()) for m in question.messages)
    assert mean_bytes([]) == 0
    [answers] = answering_later(1, SEEDS, [], UNTRAINED)
    assert abs(answers.prompt_bytes - mean_bytes([question])) <= 3


def test_prompts_of_the_projects_own_are_measured_anew(tmp_path: Path):
    [shipped, _] = rewriting(Role.EXPERT, 1, SEEDS, [], UNTRAINED)
    (tmp_path / "_rules.md").write_text("Rules of the house: " + "be brief. " * 1_000, encoding="utf-8")
    use_prompts(tmp_path)
    [own, _] = rewriting(Role.EXPERT, 1, SEEDS, [], UNTRAINED)
    assert own.prompt_bytes > shipped.prompt_bytes + 5_000


def test_of_what_was_made_before_only_the_failed_questions_are_open(tmp_path: Path):
    assert still_open(None, 100) == 100
    assert still_open(made(tmp_path, unanswered=3), 100) == 3
    assert still_open(made(tmp_path), 100) == 0


def test_a_policys_last_iteration_tells_its_pace(tmp_path: Path):
    facts = {"operation_mix": {"none": 0.25, "breadth": 0.75}, "accepted_per_episode": 3.2, "accepted_per_query": 0.4}
    stats = last_stats(trained(tmp_path, **facts))
    assert (stats.rewrites, stats.reviews, stats.accepted) == pytest.approx((4.5, 3.5, 3.2))
    silent = {"operation_mix": {"none": 1.0}, "accepted_per_episode": 0.0, "accepted_per_query": 0.0}
    assert last_stats(trained(tmp_path, **silent)) == EpisodeStats(0, 0, 0, 0, 0)


def test_an_output_without_a_record_has_no_pace(tmp_path: Path):
    assert EpisodeStats.of(made(tmp_path)) is None
    nothing = dict.fromkeys(("episodes", "rewrites", "reviews", "new_rewrites", "new_reviews", "accepted"), 0)
    assert EpisodeStats.of(made(tmp_path, asking=nothing)) is None


@pytest.mark.slow
def test_what_the_steps_record_is_what_they_did(project: Project):
    assert project.make(policy_comparison, policy_comparison={})
    assert project.make(generated_instructions, week=WEEK)
    compared = project.store.current("policy_comparison").facts
    assert compared["asking"]["episodes"] >= compared["seeds"]
    generated = project.store.current("generated_instructions", WEEK).facts
    asked = generated["asking"]
    assert asked["rewrites"] + asked["reviews"] == generated["questions"]
    assert (asked["episodes"], asked["accepted"]) == (12, generated["accepted"])
    for facts in (compared, generated):
        outcomes = facts["outcomes"]
        for purpose in ("rewrite", "review"):
            assert outcomes[purpose]["asked"] == facts["asking"][f"{purpose}s"]
            assert 0 < facts["asking"][f"new_{purpose}s"] <= facts["asking"][f"{purpose}s"]
