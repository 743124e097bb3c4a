"""How the facts of models stand in the metadata."""

from __future__ import annotations

from typing import Any

from teams_dagster.core.metadata import Json
from teams_dagster.store.facts.models import AdapterFacts, BaseFacts, FourBit


def adapter(**changes: Any) -> AdapterFacts:
    counts = ("updates", "planned_updates", "kept_update", "trainable_parameters", "examples", "validation_examples")
    facts = dict.fromkeys((*counts, "response_tokens", "too_long", "processes"), 1)
    texts = {"kind": "lora", "template": "tokenizer", "device": "cpu", "dtype": "float32"}
    return AdapterFacts.model_validate(facts | texts | {"target_modules": ["q_proj"], "settings": {}} | changes)


def test_a_configured_base_shows_no_pre_training() -> None:
    assert BaseFacts(student="some/model", embedded=False).shown() == {"student": "some/model", "embedded": "False"}


def test_what_a_training_was_not_is_left_out() -> None:
    shown = adapter().shown()
    assert not {"four_bit", "warnings", "departures_from_paper", "final_loss", "validation_loss"} & shown.keys()


def test_plans_and_layers_are_kept_and_not_shown() -> None:
    assert not {"planned_updates", "validation_examples", "target_modules"} & adapter().shown().keys()


def test_several_warnings_are_one_text() -> None:
    assert adapter(warnings=["few updates", "no validation"]).shown()["warnings"] == "few updates. no validation"


def test_the_proof_of_four_bits_is_shown_whole() -> None:
    proof = FourBit(layers=21, weights=100, packed_bytes=50, logit_gap=0.5)
    assert adapter(four_bit=proof).shown()["four_bit"] == Json(proof.model_dump())
