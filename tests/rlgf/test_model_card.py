"""The card beside a model that was trained token by token."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from huggingface_hub import ModelCard as HubCard

from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.model_card import RLGFCard, render_rlgf_card
from teams_dagster.store.facts.rlgf import RLGFFacts, TextMetrics
from tests.support.tuned_student import CARD_OF_DATASET

BEFORE = TextMetrics(reward=0.1, perplexity=9, distinct_1=0.5, distinct_2=0.75, length=7, ended=1, kl=0)


def card(kind: str = "lora", **changes: object) -> RLGFCard:
    config = RLGFConfig.model_validate({"algorithm": {"name": "ppo_plus_plus"}, "weights": {"kind": kind}})
    facts = RLGFFacts(
        algorithm="ppo_plus_plus",
        task="dataset_answers",
        guide="a guide",
        judge="some_judge",
        iterations=20,
        learner_tokens=3000,
        guide_tokens=200,
        guide_queries=40,
        judge_queries=1234,
        requests="c0ffee",
        cost_nano_usd=2_500_000_000,
        before=BEFORE,
        after=BEFORE.model_copy(update={"reward": 0.25}),
        settings=config.model_dump(mode="json"),
    )
    known = RLGFCard("m1", "somebody/base", "b1", True, "l1", CARD_OF_DATASET, facts)
    return replace(known, **changes)


def test_the_hub_reads_its_header() -> None:
    header: Any = HubCard(render_rlgf_card(card())).data
    assert (header.base_model, header.library_name, header.license) == ("somebody/base", "peft", "apache-2.0")
    assert header.tags == ["teams-rl", "rlgf", "ppo_plus_plus"]


@pytest.mark.parametrize(
    "said",
    [
        "lora_model `l1`",
        "Model version `m1`, base version `b1`",
        "of lora_model took 32 queries, 1.500000000 US dollars",
        "40 queries to its guide and 1,234 to its judge, 2.500000000 US dollars",
        "hash of them all: `c0ffee`",
        "20 iterations, 3,000 tokens of the learner and 200 of the guide",
        r"reward the preference of some\_judge",
        r"| algorithm.step.learning\_rate | 1e-05 |",
        "| reward | 0.1000, 0.2500 |",
        "- Small.",
        "is being exploited",
    ],
)
def test_it_tells_what_the_model_was_made_of_and_what_that_took(said: str) -> None:
    assert said in render_rlgf_card(card())


def test_a_whole_model_is_no_adapter_and_a_base_in_no_hub_is_not_linked() -> None:
    told = render_rlgf_card(card("full", base_on_hub=False))
    header: Any = HubCard(told).data
    assert (header.base_model, header.library_name) == (None, "transformers")
    assert "# A model somebody/base, trained on by" in told
