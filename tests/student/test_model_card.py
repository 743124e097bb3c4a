from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from huggingface_hub import ModelCard as HubCard

from teams_dagster.dataset.card import DataCard
from teams_dagster.student.adapter_config import AdapterConfig, AdapterKind, paper_config
from teams_dagster.student.model_card import ModelCard, Scored, render_model_card

DATASET = DataCard(
    "A dataset",
    "the dataset",
    "apache-2.0",
    "Written by rules.",
    (),
    (),
    4,
    {},
    (),
    {"train": 16, "validation": 4, "held_out": 1},
    {},
    {},
    (),
    32,
    1_500_000_000,
    (),
    (),
    ("Small.",),
)
REPORT: dict[str, Any] = {
    "examples": 16,
    "validation_examples": 4,
    "too_long": ["one"],
    "unwritable": ["two"],
    "updates": 120,
    "planned_updates": 120,
    "processes": 1,
    "device": "cpu",
    "dtype": "float32",
    "response_tokens": 512,
    "template": "tokenizer",
    "curve": [{"validation_loss": 5.0}, {"validation_loss": None}, {"validation_loss": 2.5}],
}


def card(kind: AdapterKind = "lora", **changes: Any) -> ModelCard:
    facts: dict[str, Any] = {
        "model_version": "m1",
        "base": "somebody/base",
        "base_version": "b1",
        "base_on_hub": True,
        "dataset": DATASET,
        "lineage_sha256": "c0ffee",
        "config": AdapterConfig(kind=kind),
        "report": REPORT,
    }
    return ModelCard(**facts | changes)


def test_the_hub_reads_what_it_is_and_of_which_base() -> None:
    data = HubCard(render_model_card(card())).data.to_dict()
    assert data["base_model"] == "somebody/base"
    assert data["library_name"] == "peft"
    assert data["license"] == "apache-2.0"


@pytest.mark.parametrize("changes", [{"kind": "full"}, {"merged": True}])
def test_a_model_that_needs_no_base_is_one_of_transformers(changes: dict[str, Any]) -> None:
    assert HubCard(render_model_card(card(**changes))).data.to_dict()["library_name"] == "transformers"


def test_it_says_on_which_data_at_which_cost_and_with_which_lineage() -> None:
    text = render_model_card(card())
    assert "Dataset version `the dataset`: 16 examples trained it, 4 were only measured, 1 were too long" in text
    assert "SHA-256 `c0ffee`" in text
    assert "32 queries, 1.500000000 US dollars" in text
    assert "Validation loss from 5.0000 to 2.5000" in text


def test_scores_and_the_chains_head_are_there_once_they_are_known() -> None:
    assert "Not scored" in render_model_card(card())
    known = card(scores=(Scored("held_out", "loss", 1.25, 0.5),), chain_head="beef")
    assert "| held\\_out, loss | 1.2500 ± 0.5000 |" in render_model_card(known)
    assert "`beef`" in render_model_card(known)


def test_hardly_any_training_and_departures_from_the_paper_are_said() -> None:
    short = card(config=paper_config("lora"), report=REPORT | {"updates": 9})
    text = render_model_card(short)
    assert "**Only 9 updates, fewer than 100" in text
    assert "Against the paper's fine-tuning: lora instead of full fine-tuning" in text
    assert "**Only" not in render_model_card(card())


def test_a_name_cannot_become_markup() -> None:
    text = render_model_card(replace(card(), base="<script>alert(1)</script>\n# Mine", base_on_hub=False))
    assert "<script>" not in text
    assert "\n# Mine" not in text
