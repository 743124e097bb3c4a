"""The reference term: who pays it, how much, and when its weight is steered."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from teams_dagster.policy.algorithms.actor_critic import priced_rewards
from teams_dagster.policy.algorithms.aggrevated import AggreVaTeD, priced_returns
from teams_dagster.policy.algorithms.config import KLReferenceConfig, PPOConfig, PPOPlusPlusConfig
from teams_dagster.policy.algorithms.controller_config import (
    AdaptiveControllerConfig,
    BallControllerConfig,
    PIDControllerConfig,
)
from teams_dagster.policy.algorithms.kl_reference import Steering, gap, mean_gap, steered, uniform_reference
from teams_dagster.policy.algorithms.ppo_plus_plus import PPOPlusPlus
from tests.support import chain_world as chain

GUIDE = chain.softened(chain.optimal(), 0.5)
PRICED = KLReferenceConfig(weight=0.3)


def example(kl: KLReferenceConfig | None = PRICED, reference=None):
    """A learner that has moved away from its first weights, and a batch that guide and learner made."""
    learner = chain.learner_of(PPOPlusPlusConfig(), kl=kl, reference=reference)
    with torch.no_grad():
        for parameter in learner.policy.parameters():
            parameter.mul_(3)
    return learner, chain.batch_for(PPOPlusPlus(0.8, PPOConfig(), 0), learner, GUIDE, 0, 0)


def test_learner_steps_pay_kappa_times_the_log_ratio_and_no_other_step_pays():
    learner, batch = example()
    log_ratio = learner.policy(batch.features).detach() + np.log(chain.CHOICES)
    paid = 0.3 * log_ratio.gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)
    expected = torch.where(batch.valid & batch.by_learner, batch.rewards - paid, batch.rewards)
    torch.testing.assert_close(priced_rewards(learner, batch), expected)


def test_a_given_policy_can_be_the_reference():
    other = chain.learner_of(PPOConfig(), seed=5).policy
    learner, batch = example(reference=other.weights())
    log_ratio = (learner.policy(batch.features) - other(batch.features)).detach()
    paid = 0.3 * log_ratio.gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)
    expected = torch.where(batch.valid & batch.by_learner, batch.rewards - paid, batch.rewards)
    torch.testing.assert_close(priced_rewards(learner, batch), expected)


def test_without_a_reference_rewards_are_as_they_were():
    learner, batch = example(kl=None)
    assert priced_rewards(learner, batch) is batch.rewards


def test_a_branched_choice_pays_as_the_learners():
    learner, _ = example()
    batch = chain.batch_for(AggreVaTeD(1.0, "enumerated", PPOConfig(), 0), learner, GUIDE, 0, 0)
    assert batch.branches is not None
    log_ratio = learner.policy(batch.branches.features).detach() + np.log(chain.CHOICES)
    torch.testing.assert_close(priced_returns(learner, batch.branches), batch.branches.returns - 0.3 * log_ratio)


def test_the_uniform_reference_knows_only_allowed_choices():
    log_probabilities = uniform_reference(torch.tensor([True, False, True]))(torch.zeros(5, 2, 9))
    np.testing.assert_allclose(log_probabilities.exp().numpy(), np.broadcast_to([0.5, 0, 0.5], (5, 2, 3)))


def test_the_mean_gap_is_the_kl_to_the_reference():
    learner, batch = example()
    old, distance = gap(learner.policy, learner.reference, batch.features[:, 0])
    expected = np.log(chain.CHOICES) + (old.exp() * old).sum(-1).mean()
    assert mean_gap(old, distance) == pytest.approx(float(expected))


def test_an_update_steers_kappa_once_from_the_kl_of_the_acting_policy():
    learner, batch = example(KLReferenceConfig(weight=0.3, target=1e-6))
    PPOPlusPlus(0.8, PPOConfig(), 0).update(learner, batch, 0)
    assert learner.kappa == pytest.approx(0.3 * 1.02)


def test_a_batch_without_learner_steps_leaves_kappa():
    learner, batch = example(KLReferenceConfig(weight=0.3, target=1e-6))
    priced_rewards(learner, replace(batch, by_learner=torch.zeros_like(batch.by_learner)))
    assert learner.kappa == 0.3


def test_what_a_controller_remembers_goes_on_with_the_training():
    kl = KLReferenceConfig(weight=0.3, target=1e-6, controller=PIDControllerConfig())
    learner, batch = example(kl)
    priced_rewards(learner, batch)
    other, _ = example(kl)
    other.restore(learner.state())
    assert (other.kappa, other.kl_memory) == (learner.kappa, learner.kl_memory) != (0.3, ())


def test_a_state_that_earlier_versions_wrote_is_taken_over():
    learner, _ = example(KLReferenceConfig(weight=0.3, target=1e-6))
    state = learner.state()
    assert "kl_memory" not in state
    learner.restore(state)
    assert (learner.kappa, learner.kl_memory) == (0.3, ())


CONTROLLERS = [
    AdaptiveControllerConfig(),
    PIDControllerConfig(proportional=0.2, integral=0.05, derivative=0.1),
    BallControllerConfig(learning_rate=0.05),
]
EVERY = pytest.mark.parametrize("controller", CONTROLLERS, ids=lambda controller: controller.name)


def kappas(controller, *kls, weight=0.3, target=0.5):
    config, now, found = KLReferenceConfig(weight=weight, target=target, controller=controller), Steering(weight), []
    for kl in kls:
        now = steered(now, kl, config)
        found.append(now.kappa)
    return found


@given(st.floats(1e-3, 10), st.floats(0, 5))
def test_a_fixed_kappa_stays(kappa, kl):
    assert steered(Steering(kappa), kl, KLReferenceConfig(weight=1)) == Steering(kappa)


@given(st.floats(1e-3, 10), st.floats(0, 5), st.floats(1e-3, 2))
def test_an_adaptive_kappa_moves_as_the_formula_says(kappa, kl, target):
    expected = kappa * (1 + 0.1 * np.clip((kl - target) / target, -0.2, 0.2))
    assert kappas(AdaptiveControllerConfig(), kl, weight=kappa, target=target) == [pytest.approx(expected)]


def test_an_adaptive_kappa_without_a_clip_follows_the_whole_error():
    assert kappas(AdaptiveControllerConfig(gain=0.5, clip=None), 1.5) == [pytest.approx(0.3 * (1 + 0.5 * 2))]


def test_pid_is_the_sum_of_its_parts():
    controller = PIDControllerConfig(proportional=0.2, integral=0.05, derivative=0.1)
    first, second, third = kappas(controller, 0.7, 0.9, 0.4)
    assert first == pytest.approx(0.3 + 0.05 * 0.2 + 0.2 * 0.2)
    assert second == pytest.approx(0.3 + 0.05 * 0.6 + 0.2 * 0.4 + 0.1 * 0.2)
    assert third == pytest.approx(0.3 + 0.05 * 0.5 - 0.2 * 0.1)


def test_a_ball_is_a_step_of_adam_kept_above_nothing():
    weight = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
    adam, expected = torch.optim.Adam([weight], lr=0.05), []
    for kl in (0.7, 0.2, 0.9):
        weight.grad = torch.tensor(0.5 - kl, dtype=torch.float64)
        adam.step()
        expected.append(float(weight))
    assert kappas(BallControllerConfig(learning_rate=0.05), 0.7, 0.2, 0.9) == pytest.approx(expected)


def test_inside_the_ball_nothing_is_paid():
    assert kappas(BallControllerConfig(learning_rate=0.2), *[0.1] * 9)[-1] == 0.0


@EVERY
def test_kappa_grows_above_the_target_and_shrinks_below(controller):
    [above], [below], [at] = (kappas(controller, kl) for kl in (0.8, 0.3, 0.5))
    assert above > 0.3 > below
    assert at == pytest.approx(0.3)


@EVERY
@given(kls=st.lists(st.floats(0, 50), max_size=20))
def test_kappa_is_never_negative(controller, kls):
    assert all(kappa >= 0 for kappa in kappas(controller, *kls))


@pytest.mark.parametrize("controller", CONTROLLERS[1:], ids=lambda controller: controller.name)
def test_a_controller_without_a_target_is_refused(controller):
    with pytest.raises(ValidationError, match=f"controller is {controller.name}, and there is no target"):
        KLReferenceConfig(weight=1, controller=controller)


def test_a_configuration_of_earlier_versions_is_written_as_it_was():
    assert KLReferenceConfig(weight=0.3, target=0.5).model_dump() == {"weight": 0.3, "target": 0.5}


@EVERY
def test_what_was_written_is_read_again(controller):
    config = KLReferenceConfig(weight=0.3, target=0.5, controller=controller)
    assert KLReferenceConfig.model_validate_json(config.model_dump_json()) == config
