"""Every loss against finite differences, and against what it means."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.rng import generator
from teams_dagster.policy.algorithms.config import AdamCriticConfig, PPOConfig
from teams_dagster.policy.algorithms.critic import value_loss
from teams_dagster.policy.algorithms.objectives import enumerated, imitation_loss, mean_entropy, mean_kl, sampled
from teams_dagster.policy.algorithms.ppo import ppo_loss

STATES, CHOICES = 7, 4


class Example:
    """Logits of two policies that differ, and random choices, advantages, labels, values."""

    def __init__(self, seed=0):
        stream = generator("objectives", seed)
        self.old = torch.log_softmax(torch.from_numpy(stream.normal(size=(STATES, CHOICES))), -1)
        self.logits = self.old + torch.from_numpy(stream.normal(0, 0.4, size=(STATES, CHOICES)))
        self.actions = torch.from_numpy(stream.integers(0, CHOICES, size=STATES))
        self.gains = torch.from_numpy(stream.normal(size=STATES))
        self.tried = torch.from_numpy(stream.random((STATES, CHOICES)) < 0.8)
        self.all_gains = torch.where(self.tried, torch.from_numpy(stream.normal(size=(STATES, CHOICES))), 0.0)
        self.sampled = sampled(self.actions, self.gains)(self.old)
        self.enumerated = enumerated(self.all_gains, self.tried)(self.old)


def finite_differences(function, point):
    slope = torch.zeros_like(point)
    for index in np.ndindex(*point.shape):
        ends = []
        for sign in (1, -1):
            shifted = point.clone()
            shifted[index] += sign * 1e-6
            ends.append(float(function(shifted)))
        slope[index] = (ends[0] - ends[1]) / 2e-6
    return slope


def policy_losses():
    example = Example()
    for name, batch in (("sampled", example.sampled), ("enumerated", example.enumerated)):
        yield f"surrogate, {name}", batch.surrogate
        yield f"clipped surrogate, {name}", lambda new, batch=batch: batch.clipped(new, 0.2)
        yield f"divergence, {name}", batch.divergence
        for normalise in ("batch", "minibatch"):
            config = PPOConfig(entropy_weight=0.3, normalise=normalise)
            yield (
                f"PPO's loss, {name}, {normalise}",
                lambda new, batch=batch, config=config: ppo_loss(batch, new, config),
            )
    yield "entropy", mean_entropy
    yield "KL", lambda new: mean_kl(example.old, new)
    yield "reverse KL", lambda new: mean_kl(new, example.old)
    yield "imitation", lambda new: imitation_loss(new, example.actions)


LOSSES = dict(policy_losses())


@pytest.mark.parametrize("name", LOSSES)
def test_a_policys_gradient_agrees_with_finite_differences(name):
    loss = LOSSES[name]
    logits = Example().logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(torch.log_softmax(logits, -1)), logits)
    expected = finite_differences(lambda point: loss(torch.log_softmax(point, -1)), logits.detach())
    torch.testing.assert_close(gradient, expected, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("value_clip", [None, 0.2])
@pytest.mark.parametrize("takes_max", [True, False])
@pytest.mark.parametrize("half", [True, False])
def test_a_critics_gradient_agrees_with_finite_differences(value_clip, takes_max, half):
    stream = generator("values")
    before, targets, now = (torch.from_numpy(stream.normal(0, 0.3, size=9)) for _ in range(3))
    config = AdamCriticConfig(value_clip=value_clip, clip_takes_max=takes_max, half=half)
    point = now.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value_loss(point, targets, before, config), point)
    expected = finite_differences(lambda values: value_loss(values, targets, before, config), now)
    torch.testing.assert_close(gradient, expected, atol=1e-8, rtol=1e-6)


def test_the_surrogate_is_the_mean_ratio_times_the_advantage():
    example = Example()
    new = torch.log_softmax(example.logits, -1)
    terms = [
        float((new[row, action] - example.old[row, action]).exp() * example.gains[row])
        for row, action in enumerate(example.actions)
    ]
    assert float(example.sampled.surrogate(new)) == pytest.approx(np.mean(terms))


def test_trying_every_choice_gives_the_expected_advantage_under_the_new_policy():
    example = Example()
    new = torch.log_softmax(example.logits, -1)
    expected = (new.exp() * example.all_gains).sum(-1).mean()
    assert float(example.enumerated.surrogate(new)) == pytest.approx(float(expected))


@given(st.integers(0, 50), st.floats(0.01, 0.5))
def test_clipping_never_promises_more(seed, clip):
    example = Example(seed)
    new = torch.log_softmax(example.logits, -1)
    for batch in (example.sampled, example.enumerated):
        assert float(batch.clipped(new, clip)) <= float(batch.surrogate(new)) + 1e-12


@given(st.integers(0, 50))
def test_at_the_acting_policy_clipped_and_plain_surrogate_are_one(seed):
    example = Example(seed)
    for batch in (example.sampled, example.enumerated):
        assert float(batch.clipped(example.old, 0.2)) == pytest.approx(float(batch.surrogate(example.old)))
        assert float(batch.clip_fraction(example.old, 0.2)) == 0
        assert float(batch.divergence(example.old)) == pytest.approx(0)


@given(st.integers(0, 50))
def test_divergences_are_never_negative(seed):
    example = Example(seed)
    new = torch.log_softmax(example.logits, -1)
    assert float(mean_kl(example.old, new)) >= 0
    assert float(example.sampled.divergence(new)) >= 0


def test_with_every_choice_the_divergence_is_the_kl():
    example = Example()
    new = torch.log_softmax(example.logits, -1)
    batch = enumerated(example.all_gains, torch.ones_like(example.tried))(example.old)
    assert float(batch.divergence(new)) == pytest.approx(float(mean_kl(example.old, new)))


def test_a_minibatch_is_normalised_by_its_own_sample_deviation():
    batch = Example().sampled.normalised()
    assert float(batch.advantages.mean()) == pytest.approx(0, abs=1e-12)
    assert float(batch.advantages.std()) == pytest.approx(1, abs=1e-6)


def test_a_minibatch_of_one_step_is_left_as_it_is():
    one = Example().sampled.rows(torch.tensor([2]))
    assert one.normalised() is one
