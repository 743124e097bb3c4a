"""Validation and held-out examples that reach training are left out; what is still shared is measured."""

from __future__ import annotations

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.curation import DropReason
from teams_dagster.dataset.sample import Example
from teams_dagster.dataset.separation import remaining_overlap, separate
from teams_dagster.instructions.seed_splits import EmptySplitError, Split


def text(name: str, words: int = 30) -> str:
    return " ".join(f"{name}{number}" for number in range(words))


def example(name: str, instruction: str | None = None, response: str | None = None) -> Example:
    return Example(name, f"seed of {name}", Instruction(instruction or text(name)), response or text(f"answer{name}"))


def sides(train: list[Example], held_out: list[Example]) -> dict[Split, tuple[Example, ...]]:
    return {"train": tuple(train), "validation": (example("validation"),), "held_out": tuple(held_out)}


def left(splits: dict[Split, tuple[Example, ...]]) -> tuple[list[str], dict[str, tuple[str, str | None]]]:
    found = separate(splits)
    dropped = {drop.sample_id: (drop.reason, drop.duplicate_of) for drop in found.dropped}
    return [example.sample_id for rows in found.splits.values() for example in rows], dropped


def test_a_near_duplicate_of_a_training_instruction_is_left_out_and_training_keeps_its_own() -> None:
    near = text("t") + " and one more"
    kept, dropped = left(sides([example("t")], [example("near", near), example("other")]))
    assert kept == ["t", "validation", "other"]
    assert dropped == {"near": (DropReason.NEAR_TRAINING, "t")}


def test_a_chain_of_near_duplicates_reaches_training() -> None:
    step, far = text("t") + " " + text("x", 7), text("t") + " " + text("x", 14)
    kept, dropped = left(sides([example("t")], [example("far", far), example("step", step), example("other")]))
    assert "other" in kept
    assert set(dropped) == {"far", "step"}
    alone, _ = left(sides([example("t")], [example("far", far), example("other")]))
    assert "far" in alone


def test_a_response_of_training_is_left_out_whatever_its_case_and_white_space() -> None:
    same = example("same", response=text("answert").upper().replace(" ", "  "))
    _, dropped = left(sides([example("t")], [same, example("other")]))
    assert dropped == {"same": (DropReason.RESPONSE_IN_TRAINING, "t")}


def test_a_side_of_which_nothing_is_left_is_an_error_that_names_it() -> None:
    with pytest.raises(EmptySplitError, match="left in held_out"):
        separate(sides([example("t")], [example("near", text("t") + " more")]))


def test_words_in_a_row_that_are_shared_are_measured() -> None:
    training = example("t", response=f"{text('template', 13)} {text('mine')}")
    sharing = example("sharing", response=f"{text('template', 13)} {text('yours')}")
    found = remaining_overlap(sides([training], [sharing, example("other")]))
    assert found == {"instructions": 0.0, "responses": 0.5}
