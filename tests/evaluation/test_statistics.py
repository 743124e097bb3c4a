from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.evaluation.statistics import (
    clustered_ratio,
    percentile_interval,
    resampled_clusters,
)
from tests.support.properties import example_count


def test_a_known_case_by_hand() -> None:
    # totals y = (6, 2, 1), x = (2, 1, 1): value 9/4; residuals 1.5, -0.25, -1.25; se = sqrt(3/2 * 3.875) / 4
    estimate = clustered_ratio([5, 1, 2, 1], [1, 1, 1, 1], ["a", "a", "b", "c"])
    assert estimate.value == 2.25
    assert estimate.stderr == pytest.approx(np.sqrt(1.5 * 3.875) / 4)
    assert estimate.clusters == 3


def test_with_one_example_a_seed_it_is_the_ordinary_standard_error_of_the_mean() -> None:
    values = np.array([1.0, 4.0, 2.0, 7.0, 3.0])
    estimate = clustered_ratio(values, np.ones(5), list("abcde"))
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.stderr == pytest.approx(values.std(ddof=1) / np.sqrt(5))


@given(
    values=st.lists(st.floats(-100, 100), min_size=2, max_size=12),
    times=st.integers(2, 5),
)
def test_repeating_every_example_within_its_seed_adds_no_certainty(values: list[float], times: int) -> None:
    seeds = [str(i) for i in range(len(values))]
    once = clustered_ratio(values, np.ones(len(values)), seeds)
    often = clustered_ratio(values * times, np.ones(len(values) * times), seeds * times)
    assert often.value == pytest.approx(once.value, abs=1e-9)
    assert often.stderr == pytest.approx(once.stderr, abs=1e-9)
    assert often.clusters == once.clusters


def test_one_seed_has_no_error_and_nothing_is_an_error() -> None:
    assert clustered_ratio([1, 2], [1, 1], ["a", "a"]).stderr is None
    with pytest.raises(ValueError, match="no examples"):
        clustered_ratio([], [], [])


@settings(max_examples=example_count(30))
@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30))
def test_a_resample_takes_seeds_whole(seeds: list[str]) -> None:
    sizes = {seed: seeds.count(seed) for seed in seeds}
    for draw in resampled_clusters(seeds, "key", replicates=5):
        drawn = [seeds[i] for i in draw]
        assert all(drawn.count(seed) % sizes[seed] == 0 for seed in sizes)
        assert sum(drawn.count(seed) // sizes[seed] for seed in sizes) == len(sizes)


def test_the_bootstrap_agrees_with_the_standard_error_and_belongs_to_its_key() -> None:
    random = np.random.default_rng(1)
    seeds = [str(i // 3) for i in range(300)]
    values = np.repeat(random.normal(size=100), 3) + random.normal(size=300) * 0.1
    estimate = clustered_ratio(values, np.ones(300), seeds)

    def interval(number: int) -> tuple[float, float]:
        return percentile_interval([values[draw].mean() for draw in resampled_clusters(seeds, "a", number)])

    low, high = interval(1)
    assert estimate.stderr is not None
    assert (high - low) / 2 == pytest.approx(1.96 * estimate.stderr, rel=0.15)
    assert low < estimate.value < high
    assert (low, high) == interval(1)
    assert (low, high) != interval(2)


def test_undefined_replicates_are_left_aside() -> None:
    assert percentile_interval([1.0, float("nan"), 1.0]) == (1.0, 1.0)
