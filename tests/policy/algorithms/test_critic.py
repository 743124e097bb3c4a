"""Fitting critics."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.rng import generator
from teams_dagster.policy.algorithms.config import AdamCriticConfig, LBFGSCriticConfig
from teams_dagster.policy.algorithms.critic import fit_adam, fit_lbfgs, value_loss
from teams_dagster.policy.network import ValueNetwork

STREAM = generator("critic")
FEATURES = torch.from_numpy(STREAM.normal(size=(160, 5)))
TARGETS = torch.sin(FEATURES[:, 0]) + FEATURES[:, 1]
ADAM = AdamCriticConfig(learning_rate=0.01, epochs=40, minibatch=32)


def adam_fit(critic, targets=TARGETS, config=ADAM):
    optimiser = torch.optim.Adam(critic.parameters(), lr=config.learning_rate, eps=config.adam_epsilon, fused=True)
    values = critic(FEATURES).detach()
    return fit_adam(critic, optimiser, FEATURES, targets, values, config, ("fit",))


def lbfgs_fit(critic, targets=TARGETS):
    return fit_lbfgs(critic, FEATURES, targets, LBFGSCriticConfig(iterations=50))


@pytest.mark.parametrize("fit", [lbfgs_fit, adam_fit])
def test_a_critic_learns_a_function_of_the_features(fit):
    critic = ValueNetwork(5, (16,), ("k",))
    fit(critic)
    error = (critic(FEATURES).detach() - TARGETS).var() / TARGETS.var()
    assert float(error) < 0.1


@pytest.mark.parametrize("fit", [lbfgs_fit, adam_fit])
def test_a_target_that_is_not_finite_is_an_error(fit):
    with pytest.raises(ValueError, match="loss"):
        fit(ValueNetwork(5, (2,), ("k",)), torch.full_like(TARGETS, float("nan")))


@pytest.mark.parametrize("fit", [lbfgs_fit, adam_fit])
def test_the_same_fit_gives_the_same_bits(fit):
    one, other = ValueNetwork(5, (8,), ("k",)), ValueNetwork(5, (8,), ("k",))
    assert fit(one) == fit(other)
    assert all(np.array_equal(value, other.weights()[name]) for name, value in one.weights().items())


NUMBERS = st.lists(st.floats(-3, 3), min_size=4, max_size=4).map(lambda numbers: torch.tensor(numbers).double())


@given(NUMBERS, NUMBERS, NUMBERS)
def test_the_larger_of_both_losses_is_never_the_smaller_one(predicted, targets, values):
    def loss(**config):
        return float(value_loss(predicted, targets, values, AdamCriticConfig(half=False, **config)))

    plain = loss()
    clipped = loss(value_clip=0.2, clip_takes_max=False)
    assert loss(value_clip=0.2) >= max(plain, clipped) - 1e-12


@given(NUMBERS, NUMBERS)
def test_clipping_does_nothing_to_values_that_have_not_moved(targets, values):
    free, clipped = (value_loss(values, targets, values, AdamCriticConfig(value_clip=clip)) for clip in (None, 0.2))
    assert float(free) == pytest.approx(float(clipped))
