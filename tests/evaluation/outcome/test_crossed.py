"""Means over students and items: their intervals hold what they should as often as they should."""

from __future__ import annotations

import numpy as np
import pytest

from teams_dagster.evaluation.outcome.crossed import crossed

DRAWS = 600


def drawn(
    stream: np.random.Generator, students: int, items: int, of_students: float, of_items: float, truth: float = 0.0
) -> np.ndarray:
    """A table of differences whose students and items vary."""
    by_student = of_students * stream.standard_normal((students, 1))
    by_item = of_items * stream.standard_normal((1, items))
    return truth + by_student + by_item + stream.standard_normal((students, items))


@pytest.mark.parametrize(
    ("students", "of_students", "of_items"), [(3, 0.0, 0.3), (3, 0.1, 0.5), (3, 0.5, 0.3), (5, 0.5, 0.5), (5, 0.0, 0.0)]
)
def test_an_interval_holds_the_truth_in_95_of_100_studies(students: int, of_students: float, of_items: float):
    stream = np.random.default_rng(0)
    clusters, weights, held = [str(number) for number in range(40)], np.ones(40), 0
    for _ in range(DRAWS):
        estimate = crossed(drawn(stream, students, 40, of_students, of_items), weights, clusters)
        held += estimate.low <= 0 <= estimate.high
    assert held / DRAWS > 0.92


def test_the_smallest_detectable_difference_is_found_in_80_of_100_studies():
    stream = np.random.default_rng(1)
    clusters, weights = [str(number) for number in range(60)], np.ones(60)
    least = np.mean([crossed(drawn(stream, 5, 60, 0.1, 0.5), weights, clusters).smallest for _ in range(50)])
    found = 0
    for _ in range(DRAWS):
        estimate = crossed(drawn(stream, 5, 60, 0.1, 0.5, truth=float(least)), weights, clusters)
        found += estimate.low > 0
    assert found / DRAWS == pytest.approx(0.8, abs=0.08)


def test_a_mean_by_weights_is_the_ratio_of_the_sums():
    values, weights = [[1.0, 2.0, 6.0], [3.0, 0.0, 2.0], [0.0, 1.0, 0.0]], [1.0, 2.0, 3.0]
    estimate = crossed(values, weights, ["a", "b", "c"])
    assert estimate.value == pytest.approx((1 + 4 + 18 + 3 + 0 + 6 + 0 + 2 + 0) / 18)


def test_items_of_one_cluster_count_as_one():
    stream = np.random.default_rng(2)
    once = drawn(stream, 3, 20, 0.1, 1.0)
    twice = np.repeat(once, 2, axis=1)
    alone = crossed(once, np.ones(20), [str(number) for number in range(20)])
    together = crossed(twice, np.ones(40), [str(number // 2) for number in range(40)])
    assert together.stderr == pytest.approx(alone.stderr)


def test_several_comparisons_widen_each_interval():
    table = drawn(np.random.default_rng(3), 3, 20, 0.1, 1.0)
    clusters = [str(number) for number in range(20)]
    one, six = (crossed(table, np.ones(20), clusters, comparisons=number) for number in (1, 6))
    assert six.high - six.low > one.high - one.low


@pytest.mark.parametrize("shape", [(2, 20), (3, 1)])
def test_too_few_students_or_items_to_show_how_much_they_vary_are_refused(shape: tuple[int, int]):
    with pytest.raises(ValueError, match="at least 3"):
        crossed(np.zeros(shape), np.ones(shape[1]), [str(number) for number in range(shape[1])])
