from __future__ import annotations

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.dataset.splits import SPLITS, split_examples
from teams_dagster.instructions.seed_splits import EmptySplitError, Split

SIDES: dict[str, Split] = {"s1": "train", "s2": "validation", "s3": "held_out", "s4": "train"}


def example(sample_id: str, seed_id: str) -> Example:
    return Example(sample_id, seed_id, Instruction(f"Do {sample_id}."), "Done.")


def test_an_example_is_on_the_side_of_its_seed_in_the_order_given() -> None:
    found = split_examples([example("a", "s3"), example("b", "s4"), example("c", "s2"), example("d", "s1")], SIDES)
    assert {split: [e.sample_id for e in rows] for split, rows in found.items()} == {
        "train": ["b", "d"],
        "validation": ["c"],
        "held_out": ["a"],
    }
    assert tuple(found) == SPLITS


def test_a_seed_without_a_side_is_an_error_that_names_it() -> None:
    with pytest.raises(KeyError, match="unknown seed"):
        split_examples([example("a", "unknown seed")], SIDES)


def test_an_empty_side_is_an_error_that_names_it() -> None:
    with pytest.raises(EmptySplitError, match="nothing in validation and held_out"):
        split_examples([example("a", "s1")], SIDES)
