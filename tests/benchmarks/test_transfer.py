"""The page of the transfer benchmark says where the reward and the other reviewer part, and counts labels by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.policy.transfer_page import Iteration, Sizes, Transfer, page, parting, stages
from benchmarks.policy.transfer_sample import Drawn, draw_sample, read_labels
from teams_dagster.core.instruction import Instruction

SIZES = Sizes(trainings=1, iterations=10)


def edits(count: int, root: str = "text") -> list[tuple[Instruction, Instruction]]:
    return [(Instruction(f"{root} {number}"), Instruction(f"{root} {number}, longer")) for number in range(count)]


def a_training(*accepted: tuple[int, int]) -> list[Iteration]:
    """Of one hundred reviewed edits an iteration, how many the reward's reviewer and the other accept."""
    return [Iteration("rules", 0, number, 100, own, other) for number, (own, other) in enumerate(accepted)]


def test_iterations_are_counted_in_five_parts() -> None:
    found = stages(a_training(*[(10 * number, 50) for number in range(10)]), 10)

    assert [stage[:3] for stage in found] == [(0, 2, 200), (2, 4, 200), (4, 6, 200), (6, 8, 200), (8, 10, 200)]
    assert [stage[3] for stage in found] == [0.05, 0.25, 0.45, 0.65, 0.85]


@pytest.mark.parametrize(
    ("others", "begins"), [([50, 55, 40, 38, 35], 4), ([50, 55, 56, 58, 60], None), ([50, 55, 40, 38, 56], None)]
)
def test_they_part_where_the_other_falls_for_good_while_the_reward_rises(others: list[int], begins: int | None) -> None:
    found = stages(a_training(*[(40 + 2 * n, others[n // 2]) for n in range(10)]), 10)

    parted = parting(found)

    assert (parted and parted[0]) == begins


def test_the_page_names_the_iteration_at_which_they_part() -> None:
    training = a_training(*[(40 + 2 * n, [50, 55, 40, 38, 35][n // 2]) for n in range(10)])

    written = page(Transfer(SIZES, {}, (), tuple(training)), [])

    assert "**They part at iteration 5.**" in written


def test_labels_are_counted_by_policy_and_reviewer_with_an_interval() -> None:
    labels = [Drawn("uniform", "rules", f"{n}", f"{n}.", "sound" if n < 3 else "cosmetic") for n in range(4)]

    written = page(Transfer(SIZES, {}, (), tuple(a_training((1, 1)))), labels)

    assert "| uniform | rules | 4 | 75% (30% to 95%) | 1 | 0 |" in written


def test_a_sample_holds_so_many_different_edits_of_each_policy(tmp_path: Path) -> None:
    file = tmp_path / "sample.jsonl"

    draw_sample({("a", "rules"): edits(9) * 2, ("b", "rules"): edits(2, "other")}, 3, file)

    drawn = read_labels(file)
    assert [sum(one.policy == name for one in drawn) for name in ("a", "b")] == [3, 2]
    assert len({(one.before, one.after) for one in drawn}) == 5


def test_labels_stay_when_edits_are_drawn_again(tmp_path: Path) -> None:
    file = tmp_path / "sample.jsonl"
    draw_sample({("a", "rules"): edits(3)}, 3, file)
    rows = [{**json.loads(line), "label": "broken"} for line in file.read_text(encoding="utf-8").splitlines()]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    draw_sample({("a", "rules"): edits(4), ("b", "rules"): edits(3)}, 4, file)

    assert sum(one.label == "broken" for one in read_labels(file)) == 6
