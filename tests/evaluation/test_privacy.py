from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.evaluation.privacy import (
    FALSE_POSITIVE_RATES,
    LOSS,
    REFERENCE,
    auc,
    membership_scores,
    rates_at,
    roc_curve,
)

LOSSES = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=25)


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
    control, found = membership_scores(LOSS, {"base": base, "lora": leaky}, seeds, member, seed=0)
    assert control.ci_low < 0.5 < control.ci_high
    assert (control.auc_minus_base, control.minus_base_low, control.minus_base_high) == (0, 0, 0)
    assert found.ci_low > 0.6
    assert found.minus_base_low > 0.1
    assert not found.too_small_to_tell
    assert (found.members, found.non_members, found.seeds) == (600, 600, 600)


def test_a_handful_of_seeds_is_too_small_to_tell() -> None:
    random = np.random.default_rng(0)
    seeds = [f"seed-{i}" for i in range(20)]
    (result,) = membership_scores(LOSS, {"base": random.normal(size=20)}, seeds, [i < 10 for i in range(20)], seed=0)
    assert result.too_small_to_tell
    assert result.ci_low <= result.auc <= result.ci_high


def test_repeated_samples_of_a_seed_do_not_narrow_the_interval() -> None:
    random = np.random.default_rng(0)
    losses = random.normal(size=40)
    seeds = [f"seed-{i}" for i in range(40)]
    member = [i < 20 for i in range(40)]
    (once,) = membership_scores(LOSS, {"base": losses}, seeds, member, seed=0)
    seeds_of, is_member = sorted(seeds * 5, key=seeds.index), list(np.repeat(member, 5))
    (often,) = membership_scores(LOSS, {"base": np.repeat(losses, 5)}, seeds_of, is_member, seed=0)
    assert often.ci_low == pytest.approx(once.ci_low)
    assert often.ci_high == pytest.approx(once.ci_high)


def test_without_the_base_the_control_is_a_guess() -> None:
    random = np.random.default_rng(0)
    seeds, member = [f"seed-{i}" for i in range(400)], [i < 200 for i in range(400)]
    values = {"lora": random.normal(size=400) - np.where(member, 1.0, 0.0)}
    (found,) = membership_scores(REFERENCE, values, seeds, member, seed=0)
    assert found.auc_minus_base == found.auc - 0.5
    assert found.minus_base_low == pytest.approx(found.ci_low - 0.5)
    assert found.attack == REFERENCE


@given(LOSSES, st.lists(st.integers(0, 6).map(float), min_size=2, max_size=300))
def test_true_positives_are_the_most_that_the_false_positives_allow(members: list[float], others: list[float]) -> None:
    m, o = np.array(members), np.array(others)
    for point in rates_at(m, o):
        best = max(
            (m < t).mean()
            for t in [*np.unique(np.concatenate([m, o])), np.inf]
            if (o < t).mean() <= point.false_positive_rate
        )
        assert point.true_positive_rate == pytest.approx(best)


@pytest.mark.parametrize(
    ("others", "rates"), [(9, []), (10, []), (11, [0.1]), (100, [0.05, 0.1]), (1001, [*FALSE_POSITIVE_RATES])]
)
def test_rates_that_so_many_others_cannot_resolve_are_not_reported(others: int, rates: list[float]) -> None:
    found = rates_at(np.zeros(5), np.ones(others))
    assert [point.false_positive_rate for point in found] == rates
    assert all(point.true_positive_rate == 1 for point in found)
