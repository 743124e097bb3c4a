"""What a learner holds and hands over."""

import numpy as np
import pytest

from teams_dagster.policy.algorithms.algorithm import algorithm_of
from teams_dagster.policy.algorithms.config import (
    AdamCriticConfig,
    AggreVaTeDConfig,
    BCConfig,
    D2LOLSConfig,
    LOLSConfig,
    PPOConfig,
    PPOPlusPlusConfig,
    TRPOConfig,
)
from tests.support import chain_world as chain


@pytest.mark.parametrize(
    ("config", "critics"),
    [
        (TRPOConfig(), {"learner"}),
        (PPOPlusPlusConfig(), {"learner"}),
        (AggreVaTeDConfig(form="mask"), {"guide"}),
        (AggreVaTeDConfig(form="enumerated"), set()),
        (LOLSConfig(), {"learner", "guide"}),
        (D2LOLSConfig(form="enumerated"), {"learner"}),
        (BCConfig(), set()),
    ],
)
def test_it_has_the_critics_that_its_algorithm_uses(config, critics):
    assert set(chain.learner_of(config).critics) == critics


@pytest.mark.parametrize(
    ("config", "critic", "optimisers"),
    [
        (TRPOConfig(), None, set()),
        (TRPOConfig(), AdamCriticConfig(), {"learner"}),
        (LOLSConfig(), AdamCriticConfig(), {"policy", "learner", "guide"}),
        (BCConfig(), AdamCriticConfig(), {"policy"}),
    ],
)
def test_each_network_moved_by_adam_has_its_own_optimiser(config, critic, optimisers):
    assert set(chain.learner_of(config, critic=critic).optimisers) == optimisers


def test_its_state_is_a_copy():
    learner = chain.learner_of(PPOConfig())
    state = learner.state()
    before = {name: value.copy() for name, value in state.items()}
    algorithm = algorithm_of(PPOConfig(), 0)
    algorithm.update(learner, chain.batch_for(algorithm, learner, chain.optimal(), 0, 0), 0)
    assert all(np.array_equal(state[name], value) for name, value in before.items())


def test_restoring_a_fresh_state_forgets_the_optimisers_moments():
    config, algorithm = PPOConfig(), algorithm_of(PPOConfig(), 0)
    learner = chain.learner_of(config)
    fresh = learner.state()
    algorithm.update(learner, chain.batch_for(algorithm, learner, chain.optimal(), 0, 0), 0)
    learner.restore(fresh)
    assert learner.state().keys() == fresh.keys()


def test_a_state_of_another_shape_is_refused():
    state = chain.learner_of(PPOConfig()).state()
    state["policy.0.weight"] = state["policy.0.weight"][:, 1:]
    with pytest.raises(RuntimeError):
        chain.learner_of(PPOConfig()).restore(state)
