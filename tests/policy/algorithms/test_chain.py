"""Each algorithm on a chain solved exactly: it reaches its own target within 2%.

On one seed here, on three (`SOAK_CHAIN_SEEDS=3`) in `make soak`.

TRPO, PPO, PPO++ and D2LOLS: the optimum. AggreVaTeD: the greedy policy on the guide's Q, which is the optimum only
where the guide is good enough. LOLS: the optimum where both agree, else no less than AggreVaTeD's target. Imitation:
the guide.
"""

import os

import numpy as np
import pytest

from teams_dagster.policy.algorithms.config import (
    AdamCriticConfig,
    AggreVaTeDConfig,
    BCConfig,
    D2LOLSConfig,
    DAggerConfig,
    LOLSConfig,
    PPOConfig,
    PPOPlusPlusConfig,
    TRPOConfig,
)
from tests.support import chain_world as chain

SEEDS = pytest.mark.parametrize("seed", range(int(os.environ.get("SOAK_CHAIN_SEEDS", "1"))))
STEP = PPOConfig(learning_rate=0.02, epochs=5, minibatch=0, entropy_weight=0.03)
ADAM = AdamCriticConfig(learning_rate=0.02, minibatch=0, epochs=10)
OPTIMUM = chain.value_of(chain.optimal())
GOOD = chain.softened(chain.optimal(), 0.1)
IDLE = chain.softened(chain.always(chain.REST), 0.4)
"""Rests more often than not: whoever relies on it to finish has no reason to climb."""
FORMS = pytest.mark.parametrize(("form", "decay"), [("mask", 0.0), ("one_step", 0.95), ("enumerated", 0.95)])


def target_of(guide):
    """The value of the greedy policy on the guide's Q."""
    return chain.value_of(chain.greedy(chain.q_of(guide)))


def test_the_idle_guides_greedy_policy_is_far_below_the_optimum():
    assert target_of(GOOD) == OPTIMUM
    assert target_of(IDLE) < 0.5 * OPTIMUM


@pytest.mark.slow
@SEEDS
@pytest.mark.parametrize("critic", [None, ADAM], ids=["L-BFGS", "Adam"])
@pytest.mark.parametrize(
    ("step", "iterations"), [(TRPOConfig(max_kl=0.1, damping=0.01), 60), (STEP, 30)], ids=["TRPO", "PPO"]
)
def test_trpo_and_ppo_reach_the_optimum(seed, step, iterations, critic):
    policy = chain.trained(step, GOOD, seed, iterations, critic=critic)
    assert chain.value_of(policy) == pytest.approx(OPTIMUM, rel=0.02)


@SEEDS
@pytest.mark.parametrize("guide", [GOOD, IDLE], ids=["good", "idle"])
def test_ppo_plus_plus_reaches_the_optimum_whatever_the_guide(seed, guide):
    policy = chain.trained(PPOPlusPlusConfig(step=STEP), guide, seed, 30)
    assert chain.value_of(policy) == pytest.approx(OPTIMUM, rel=0.02)


@pytest.mark.slow
@SEEDS
@FORMS
@pytest.mark.parametrize("guide", [GOOD, IDLE], ids=["good", "idle"])
def test_aggrevated_reaches_the_greedy_policy_on_the_guides_q(seed, form, decay, guide):
    policy = chain.trained(AggreVaTeDConfig(form=form, beta=0.8, step=STEP), guide, seed, 25, decay=decay)
    assert chain.value_of(policy) == pytest.approx(target_of(guide), rel=0.02)


@SEEDS
def test_lols_reaches_the_optimum_where_the_guides_greedy_policy_is_it(seed):
    policy = chain.trained(LOLSConfig(form="one_step", beta_learner=0.8, step=STEP), GOOD, seed, 30)
    assert chain.value_of(policy) == pytest.approx(OPTIMUM, rel=0.02)


@SEEDS
def test_lols_is_no_worse_than_the_idle_guides_greedy_policy(seed):
    policy = chain.trained(LOLSConfig(form="one_step", beta_learner=0.8, step=STEP), IDLE, seed, 30)
    assert chain.value_of(policy) >= 0.98 * target_of(IDLE)


@SEEDS
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_d2lols_reaches_the_optimum(seed, share):
    policy = chain.trained(
        D2LOLSConfig(form="one_step", beta_learner=0.8, step=STEP, switch=8),
        chain.softened(chain.optimal(), share),
        seed,
        30,
    )
    assert chain.value_of(policy) == pytest.approx(OPTIMUM, rel=0.02)


@pytest.mark.slow
@SEEDS
@pytest.mark.parametrize("config", [BCConfig, DAggerConfig])
def test_imitation_reaches_the_guides_distribution(seed, config):
    policy = chain.trained(config(learning_rate=0.01, minibatch=0), IDLE, seed, 30, episodes=256)
    distance = np.abs(policy - IDLE).sum(-1) / 2
    assert (chain.visits(policy) * distance).sum() < 0.02
    assert chain.value_of(policy) == pytest.approx(chain.value_of(IDLE), rel=0.02)
