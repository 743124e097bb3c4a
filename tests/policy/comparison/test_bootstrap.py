"""The crossed bootstrap."""

import numpy as np
import pytest

from teams_dagster.policy.comparison.bootstrap import Resamples, ratio
from teams_dagster.policy.comparison.scores import interval

VALUES = np.arange(12.0).reshape(3, 4)


def test_the_first_row_is_the_sample_itself():
    resamples = Resamples.drawn(3, 4, 200, 0)
    assert resamples.total(VALUES)[0] == VALUES.sum()
    assert resamples.mean(VALUES)[0] == VALUES.mean()


def test_each_resample_draws_as_many_seeds_as_there_are():
    resamples = Resamples.drawn(3, 4, 200, 0)
    np.testing.assert_allclose(resamples.training.sum(axis=1), 3)
    assert (resamples.evaluation.sum(axis=1) == 4).all()


def test_a_resample_is_the_sum_over_drawn_pairs():
    resamples = Resamples.drawn(3, 4, 200, 0)
    row = 17
    expected = sum(
        resamples.training[row, t] * resamples.evaluation[row, n] * VALUES[t, n] for t in range(3) for n in range(4)
    )
    assert resamples.total(VALUES)[row] == pytest.approx(expected)


def test_a_policy_with_one_training_has_it_under_every_training_seed():
    resamples = Resamples.drawn(3, 4, 200, 0)
    np.testing.assert_allclose(resamples.total(VALUES[:1]), resamples.total(np.repeat(VALUES[:1], 3, axis=0)))


def test_what_trainings_took_has_the_interval_of_their_mean():
    """Not the least and the most of them, which get further apart with more trainings; its ends come nearer."""
    counts = [*range(100, 140), 500]
    resamples = Resamples.drawn(len(counts), 4, 2_000, 0)
    found = resamples.mean_of_trainings(counts)
    low, high = interval(found, 0.95)
    assert found[0] == pytest.approx(np.mean(counts))
    assert 110 < low < found[0] < high < 160


def test_what_one_training_took_is_certain():
    assert set(Resamples.drawn(5, 4, 200, 0).mean_of_trainings([7]).round(9)) == {7.0}


def test_the_spread_is_that_of_both_kinds_of_seeds():
    """Student's t with 39 degrees of freedom is 1.032 times as wide as a normal variable."""
    stream = np.random.default_rng(0)
    training, evaluation = stream.normal(size=(40, 1)), stream.normal(size=(1, 60))
    resamples = Resamples.drawn(40, 60, 4000, 0)
    spread = resamples.mean(training + evaluation)[1:].std()
    assert spread == pytest.approx(np.sqrt(1.032**2 * training.var(ddof=1) / 40 + evaluation.var() / 60), rel=0.05)


@pytest.mark.parametrize("trainings", [3, 5])
def test_a_few_trainings_that_vary_much_are_covered(trainings: int):
    stream, covered, times = np.random.default_rng(0), 0, 300
    for trial in range(times):
        values = stream.normal(0, 0.3, (trainings, 1)) + stream.normal(0, 0.1, (1, 40)) + 1
        low, high = interval(Resamples.drawn(trainings, 40, 400, trial).mean(values), 0.95)
        covered += low <= 1 <= high
    assert 0.92 <= covered / times <= 0.99


def test_a_ratio_with_nothing_below_is_nothing():
    assert ratio(np.array([1.0, 2.0]), np.array([0.0, 4.0])).tolist() == [0.0, 0.5]
