from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.privacy import auc, membership_samples, membership_scores, roc_curve
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.student.scoring import ResponseScore

LOSSES = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=25)


def scores(losses: np.ndarray) -> list[ResponseScore]:
    return [ResponseScore(-float(loss), 1) for loss in losses]


@given(LOSSES, LOSSES)
def test_auc_counts_every_pair(members: list[float], others: list[float]) -> None:
    wins = sum((m < o) + 0.5 * (m == o) for m in members for o in others)
    assert auc(np.array(members), np.array(others)) == pytest.approx(wins / (len(members) * len(others)))


@given(LOSSES, LOSSES)
def test_the_area_under_the_roc_points_is_the_auc(members: list[float], others: list[float]) -> None:
    points = roc_curve(np.array(members), np.array(others))
    false = np.array([p.false_positive_rate for p in points])
    true = np.array([p.true_positive_rate for p in points])
    area = float(((true[1:] + true[:-1]) / 2 * np.diff(false)).sum())
    assert area == pytest.approx(auc(np.array(members), np.array(others)))
    assert (np.diff(false) >= 0).all()
    assert (np.diff(true) >= 0).all()
    assert (points[0].false_positive_rate, points[-1].true_positive_rate) == (0.0, 1.0)


def test_a_leak_is_found_and_the_base_is_its_own_control() -> None:
    random = np.random.default_rng(0)
    seeds = [f"seed-{i // 2}" for i in range(1200)]
    member = [i < 600 for i in range(1200)]
    base = random.normal(3, 1, 1200)
    leaky = base - np.where(member, 1.0, 0.0)
    control, found = membership_scores({"base": scores(base), "lora": scores(leaky)}, seeds, member, seed=0)
    assert control.ci_low < 0.5 < control.ci_high
    assert (control.auc_minus_base, control.minus_base_low, control.minus_base_high) == (0, 0, 0)
    assert found.ci_low > 0.6
    assert found.minus_base_low > 0.1
    assert not found.too_small_to_tell
    assert (found.members, found.non_members, found.seeds) == (600, 600, 600)


def test_a_handful_of_seeds_is_too_small_to_tell() -> None:
    random = np.random.default_rng(0)
    seeds = [f"seed-{i}" for i in range(20)]
    (result,) = membership_scores({"base": scores(random.normal(size=20))}, seeds, [i < 10 for i in range(20)], seed=0)
    assert result.too_small_to_tell
    assert result.ci_low <= result.auc <= result.ci_high


def test_repeated_samples_of_a_seed_do_not_narrow_the_interval() -> None:
    random = np.random.default_rng(0)
    losses = random.normal(size=40)
    seeds = [f"seed-{i}" for i in range(40)]
    member = [i < 20 for i in range(40)]
    (once,) = membership_scores({"base": scores(losses)}, seeds, member, seed=0)
    (often,) = membership_scores(
        {"base": scores(np.repeat(losses, 5))}, sorted(seeds * 5, key=seeds.index), list(np.repeat(member, 5)), seed=0
    )
    assert often.ci_low == pytest.approx(once.ci_low)
    assert often.ci_high == pytest.approx(once.ci_high)


def test_both_sides_have_the_same_size_and_the_draw_ignores_order() -> None:
    def examples(side: str, size: int) -> list[Example]:
        return [Example(f"{side}{i}", f"{side}-seed{i}", Instruction(f"{side}{i}"), "yes") for i in range(size)]

    train, held_out = examples("train", 30), examples("held", 7)
    members, others = membership_samples(train, held_out, seed=0)
    assert len(members) == len(others) == 7
    assert set(members) <= set(train)
    assert members == membership_samples(train[::-1], held_out[::-1], seed=0)[0]
    assert members != membership_samples(train, held_out, seed=1)[0]
    with pytest.raises(ValueError, match="needs both sides"):
        membership_samples([], held_out, seed=0)
