"""The reviewers' benchmark: its splits, its verdict, and one run at tiny sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.policy.reviewers import RULES, measure, split
from benchmarks.policy.reviewers_page import OVER_UNIFORM, Figure, Row, Sizes
from resources.language_models.offline.model import OfflineModel


def test_splits_divide_the_same_seeds_differently() -> None:
    (train, held_out), (other_train, other_held_out) = split(0), split(1)
    assert set(train) | set(held_out) == set(other_train) | set(other_held_out)
    assert not set(train) & set(held_out)
    assert set(train) != set(other_train)


@pytest.mark.parametrize(("mean", "low", "gained"), [(1.35, 1.05, True), (1.35, 0.95, False), (1.2, 1.1, False)])
def test_a_gain_reaches_the_goal_and_is_clear_of_one(mean: float, low: float, gained: bool) -> None:
    row = Row("r", 0, 1, 1, (Figure("trained", OVER_UNIFORM, mean, low, 2.0),), False)
    assert row.gained is gained


def test_every_reviewer_and_split_is_measured_once(tmp_path: Path) -> None:
    output = tmp_path / "REVIEWERS.md"
    sizes = Sizes(splits=2, trainings=1, iterations=1, queries_per_seed=12)
    measure(output, {RULES: OfflineModel()}, sizes, tmp_path / "scratch")
    rows = [Row.of(json.loads(line)) for line in output.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row.reviewer, row.split) for row in rows] == [(RULES, 0), (RULES, 1)]
    assert f"- {RULES}: " in output.read_text(encoding="utf-8")
