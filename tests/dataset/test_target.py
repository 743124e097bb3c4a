"""Exactly so many samples: how far to play, what is left out beyond, and what is said where a target is missed."""

from __future__ import annotations

from collections.abc import Mapping

from teams_dagster.core.disk_rows import Rows
from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.curation import DropReason
from teams_dagster.dataset.sample import Example
from teams_dagster.dataset.target import (
    Kept,
    Spending,
    episodes_afforded,
    episodes_needed,
    shortfall_sentence,
    within_targets,
)
from teams_dagster.instructions.seed_splits import Split

WEEK, OTHER = "2026-11-02", "2026-11-09"


def example(sample_id: str) -> Example:
    return Example(sample_id, f"seed of {sample_id}", Instruction(f"Do {sample_id}."), "Done.")


def splits(train: str, validation: str = "v", held_out: str = "h") -> dict[Split, list[Example]]:
    sides: dict[Split, str] = {"train": train, "validation": validation, "held_out": held_out}
    return {split: [example(sample_id) for sample_id in ids] for split, ids in sides.items()}


def ids(found: Mapping[Split, Rows[Example]]) -> dict[str, str]:
    return {split: "".join(example.sample_id for example in rows) for split, rows in found.items()}


def test_the_first_round_brings_none_beyond_the_target_even_if_every_edit_is_kept() -> None:
    assert episodes_needed(100, Kept(0, complete=False), played=0) == 17


def test_a_further_round_is_as_large_as_what_is_missing_took_so_far() -> None:
    assert episodes_needed(100, Kept(50), played=25) == 25
    assert episodes_needed(100, Kept(99), played=25) == 1


def test_after_rounds_that_brought_nothing_as_many_episodes_are_played_again() -> None:
    assert episodes_needed(100, Kept(0), played=17) == 17


def test_with_a_side_of_the_split_empty_the_target_is_not_reached() -> None:
    assert not Kept(100, complete=False).reaches(100)
    assert Kept(100).reaches(100)
    assert episodes_needed(100, Kept(120, complete=False), played=40) == 1


def test_a_round_that_the_budget_pays_easily_is_played_whole() -> None:
    assert episodes_afforded(40, 1.5) == 40


def test_a_round_that_it_likely_does_not_pay_is_begun_with_half_of_what_it_does_pay() -> None:
    assert episodes_afforded(40, 1.0) == 20
    assert episodes_afforded(40, 0.0) == 1


def test_the_first_in_canonical_order_stay() -> None:
    ordered = [(sample_id, WEEK) for sample_id in "avbhcd"]
    within, dropped = within_targets(splits("abcd"), ordered, {WEEK: 4})
    assert ids(within) == {"train": "ab", "validation": "v", "held_out": "h"}
    assert {(drop.sample_id, drop.reason) for drop in dropped} == {
        ("c", DropReason.BEYOND_TARGET),
        ("d", DropReason.BEYOND_TARGET),
    }


def test_the_only_example_of_a_side_stays_and_another_leaves_in_its_place() -> None:
    ordered = [(sample_id, WEEK) for sample_id in "abcdvh"]
    within, _ = within_targets(splits("abcd"), ordered, {WEEK: 3})
    assert ids(within) == {"train": "a", "validation": "v", "held_out": "h"}


def test_generations_without_a_target_lose_nothing() -> None:
    ordered = [("a", OTHER), ("b", OTHER), ("c", WEEK), ("d", WEEK), ("v", OTHER), ("h", OTHER)]
    within, _ = within_targets(splits("abcd"), ordered, {WEEK: 1})
    assert ids(within)["train"] == "abc"


def test_a_missed_target_says_why_and_what_it_would_take() -> None:
    said = shortfall_sentence(
        100, Kept(40), "the budget is used up", Spending(queries=200, sent=160, nano_usd=320_000_000), {}
    )
    assert said.startswith("40 of 100 samples: the budget is used up. At 5.0 queries a sample")
    assert "about 300 more queries and $0.60" in said


def test_dollars_are_not_guessed_where_no_price_is_known() -> None:
    assert "$" not in shortfall_sentence(100, Kept(40), "the budget is used up", Spending(200, 160, None), {})


def test_what_was_refused_on_the_way_to_a_missed_target_is_named() -> None:
    said = shortfall_sentence(
        100, Kept(40), "it ended", Spending(200, 160, None), {"reasoning_too_long": 2, "off_topic": 12}
    )
    assert said.startswith("40 of 100 samples: it ended; refused: 12 off_topic, 2 reasoning_too_long. At")
