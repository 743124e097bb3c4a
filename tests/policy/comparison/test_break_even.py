"""When training has paid for itself."""

import math

import numpy as np
import pytest

from teams_dagster.policy.comparison.bootstrap import Resamples, samples_to_pay_off

RESAMPLES = Resamples.drawn(1, 4, 300, 0)


def pays(trained_cost, uniform_cost, training=1000.0, accepted=2.0):
    accepted_edits = np.full((1, 4), accepted)
    return samples_to_pay_off(
        training,
        trained=(np.full((1, 4), trained_cost), accepted_edits),
        uniform=(np.full((1, 4), uniform_cost), accepted_edits),
        resamples=RESAMPLES,
    )


def test_it_is_the_training_over_what_each_sample_saves():
    assert pays(4.0, 8.0) == pytest.approx(1000 / (8 / 2 - 4 / 2))


@pytest.mark.parametrize("trained", [8.0, 9.0])
def test_where_nothing_is_saved_it_never_pays(trained):
    assert (pays(trained, 8.0) == math.inf).all()


def test_where_nothing_is_accepted_it_never_pays():
    assert (pays(4.0, 8.0, accepted=0.0) == math.inf).all()


def test_what_cost_nothing_has_paid_for_itself_at_once_if_it_saves_at_all():
    assert (pays(4.0, 8.0, training=0.0) == 0).all()
    assert (pays(9.0, 8.0, training=0.0) == math.inf).all()


def test_a_saving_that_seeds_disagree_on_is_never_at_one_end():
    uniform = (np.full((1, 4), 8.0), np.full((1, 4), 2.0))
    trained = (np.array([[1.0, 9.0, 9.0, 9.0]]), np.full((1, 4), 2.0))
    found = samples_to_pay_off(1000.0, trained=trained, uniform=uniform, resamples=RESAMPLES)
    assert math.isfinite(found[0])
    assert np.isinf(found).any()
    assert np.isfinite(found).any()
