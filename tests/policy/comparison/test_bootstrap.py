"""The crossed bootstrap."""

import numpy as np
import pytest

from teams_dagster.policy.comparison.bootstrap import Resamples, ratio

VALUES = np.arange(12.0).reshape(3, 4)


def test_the_first_row_is_the_sample_itself():
    resamples = Resamples.drawn(3, 4, 200, 0)
    assert resamples.total(VALUES)[0] == VALUES.sum()
    assert resamples.mean(VALUES)[0] == VALUES.mean()


def test_each_resample_draws_as_many_seeds_as_there_are():
    resamples = Resamples.drawn(3, 4, 200, 0)
    assert (resamples.training.sum(axis=1) == 3).all()
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


def test_the_spread_is_that_of_both_kinds_of_seeds():
    stream = np.random.default_rng(0)
    training, evaluation = stream.normal(size=(8, 1)), stream.normal(size=(1, 60))
    resamples = Resamples.drawn(8, 60, 4000, 0)
    spread = resamples.mean(training + evaluation)[1:].std()
    assert spread == pytest.approx(np.sqrt(training.var() / 8 + evaluation.var() / 60), rel=0.1)


def test_a_ratio_with_nothing_below_is_nothing():
    assert ratio(np.array([1.0, 2.0]), np.array([0.0, 4.0])).tolist() == [0.0, 0.5]
