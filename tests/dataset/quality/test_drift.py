"""Drift between generations: what is real and large is found, and noise is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.dataset.quality.drift import (
    ANSWERS,
    CHANCE,
    EDITS,
    FEWEST_SEEDS,
    OPERATIONS,
    SEED,
    Drift,
    TooFewSeeds,
    Totals,
    changed_inputs,
    drifts,
    mix_divergence,
)

STEPS = 6
EVEN = np.full(len(OPERATIONS), 1 / len(OPERATIONS))
SKEWED = np.array([0.4, *[0.1] * (len(OPERATIONS) - 1)])


def generation(
    number: int,
    seeds: int,
    *,
    words: float = 40,
    mix: np.ndarray = EVEN,
    acceptance: float = 0.8,
    population: int = 0,
) -> Totals:
    """What a generation of `seeds` seeds brought, the samples of a seed alike (two thirds of the variance is its)."""
    draw = np.random.default_rng(number)
    own = np.random.default_rng([population]).normal(size=seeds)
    chosen = np.array([draw.multinomial(STEPS, draw.dirichlet(mix * 7)) for _ in range(seeds)], dtype=float)
    accepted = 1.0 + draw.binomial(STEPS - 1, np.clip(acceptance + own / 20, 0, 1)).astype(float)
    lengths = np.clip(words + 14 * own[:, None] + draw.normal(scale=10, size=(seeds, STEPS)), 1, None)
    counted = np.arange(STEPS) < accepted[:, None]
    rewards = counted * np.clip(0.8 + own[:, None] / 10, 0, 1)
    return {
        SEED: np.array([f"{population:03d}{seed:05d}" for seed in range(seeds)]),
        **{name: chosen[:, at] for at, name in enumerate(OPERATIONS)},
        "steps": np.full(seeds, float(STEPS)),
        "reward": rewards.sum(axis=1),
        "reward_squared": (rewards**2).sum(axis=1),
        "rewrites": np.full(seeds, float(STEPS)),
        "accepted": accepted,
        "queries": np.full(seeds, 2.0 * STEPS),
        "words": (lengths * counted).sum(axis=1),
        "words_squared": (lengths**2 * counted).sum(axis=1),
    }


def found(latest: Totals, *earlier: Totals) -> dict[str, Drift]:
    return {drift.name: drift for drift in drifts(latest, earlier, EDITS, "test")}


@pytest.mark.slow
@pytest.mark.parametrize("others", [False, True], ids=["same seeds", "other seeds"])
@pytest.mark.parametrize("seeds", [20, 240])
def test_draws_of_the_same_distribution_rarely_drift(seeds: int, others: bool) -> None:
    compared = [
        drift
        for number in range(0, 80, 4)
        for drift in found(
            generation(number, seeds, population=number + others),
            *(generation(number + week, seeds, population=number) for week in (1, 2, 3)),
        ).values()
    ]
    assert sum(drift.drifted for drift in compared) <= 1
    assert np.mean([drift.chance <= 0.1 for drift in compared]) <= 0.2


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("operation mix", {"mix": SKEWED}),
        ("words of an accepted instruction", {"words": 50}),
        ("acceptance of rewrites", {"acceptance": 0.6}),
        ("queries of an accepted instruction", {"acceptance": 0.55}),
        ("reward of a step", {"acceptance": 0.55}),
    ],
)
def test_a_change_of_a_whole_generation_is_found(name: str, changed: dict) -> None:
    weeks = [generation(week, 240) for week in range(3)]
    drift = found(generation(9, 240, **changed), *weeks)[name]
    assert drift.drifted, str(drift)
    assert drift.chance <= CHANCE
    assert name in str(drift)


def test_the_operation_that_moved_is_named() -> None:
    drift = found(generation(1, 240, mix=SKEWED), generation(2, 240))["operation mix"]
    assert drift.what == "breadth"
    assert drift.latest > 0.3 > drift.earlier


def test_a_difference_too_small_to_matter_is_none_however_sure() -> None:
    drift = found(generation(1, 5_000, words=42), generation(2, 5_000))["words of an accepted instruction"]
    assert drift.chance <= CHANCE
    assert not drift.drifted


def test_the_same_generation_has_no_effect_and_the_same_call_the_same_result() -> None:
    week = generation(3, 60)
    assert all(drift.effect == pytest.approx(0, abs=1e-12) for drift in found(week, week).values())
    assert found(week, generation(4, 60)) == found(week, generation(4, 60))


def test_few_seeds_are_not_compared() -> None:
    with pytest.raises(TooFewSeeds, match="19 seeds on one side"):
        found(generation(1, FEWEST_SEEDS - 1), generation(2, 240))


def test_what_is_not_known_or_free_is_left_out() -> None:
    week = {**generation(1, 30), "kept": np.ones(30), "samples": np.ones(30), "cost": np.zeros(30)}
    unknown = {**week, "cost": np.full(30, np.nan)}
    for latest in (week, unknown):
        assert "nano-dollars of a kept sample" not in {drift.name for drift in drifts(latest, [week], ANSWERS, "test")}


counts = st.lists(st.integers(0, 50), min_size=3, max_size=3).filter(any)


@given(counts, counts)
def test_the_divergence_of_mixes_is_symmetric_and_at_most_a_bit(one: list[int], other: list[int]) -> None:
    a, b = np.array(one, dtype=float), np.array(other, dtype=float)
    assert mix_divergence(a, b) == pytest.approx(mix_divergence(b, a))
    assert -1e-12 <= mix_divergence(a, b) <= 1 + 1e-12


def test_mixes_that_share_nothing_are_one_bit_apart() -> None:
    one, other = np.eye(2)
    assert mix_divergence(one, other) == pytest.approx(1)
    assert mix_divergence(one, one) == 0


def test_what_changed_between_two_generations_is_named() -> None:
    assert changed_inputs({"policy": "a", "seeds": "s"}, {"policy": "b", "seeds": "s", "prompt x": "p"}) == [
        "policy",
        "prompt x",
    ]
