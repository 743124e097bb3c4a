"""Trust region policy optimisation, against matrices, finite differences and a chain solved by hand."""

import numpy as np
import pytest
import torch

from teams_dagster.policy.config import TRPOConfig
from teams_dagster.policy.estimators import advantages, normalised
from teams_dagster.policy.network import PolicyNetwork
from teams_dagster.policy.trpo import (
    UpdateStatus,
    conjugate_gradient,
    entropy,
    fisher_product,
    mean_kl,
    surrogate,
    trpo_update,
)
from teams_dagster.streams import generator

FEATURES, CHOICES = 4, 3


class Problem:
    """A random policy and a random batch of 6 episodes x 5 steps, some steps invalid."""

    def __init__(self, seed=0, allowed=(True, True, True)):
        stream = generator("trpo-test", seed)
        self.policy = PolicyNetwork(FEATURES, (5,), np.array(allowed), ("w", seed))
        with torch.no_grad():
            for parameter in self.policy.parameters():
                parameter.copy_(torch.from_numpy(stream.normal(0, 0.6, size=tuple(parameter.shape))))
        self.parameters = list(self.policy.parameters())
        self.features = torch.from_numpy(stream.normal(size=(6, 5, FEATURES)))
        options = np.flatnonzero(allowed)
        self.actions = torch.from_numpy(stream.choice(options, size=(6, 5)))
        self.valid = torch.from_numpy(np.arange(5) < stream.integers(1, 6, size=6)[:, None])
        self.advantages = normalised(torch.from_numpy(stream.normal(size=(6, 5))), self.valid)

    def log_probabilities(self):
        return self.policy(self.features)

    def flat(self):
        return torch.cat([parameter.detach().reshape(-1) for parameter in self.parameters]).clone()

    def assign(self, flat):
        torch.nn.utils.vector_to_parameters(flat, self.parameters)

    def update(self, **config):
        return trpo_update(
            self.log_probabilities,
            self.parameters,
            self.actions,
            self.advantages,
            self.valid,
            TRPOConfig(**config),
        )


def test_fisher_products_are_those_of_the_explicit_fisher_matrix():
    problem = Problem()
    log_probabilities = problem.log_probabilities()[problem.valid]
    size = len(problem.flat())
    fisher = torch.zeros(size, size, dtype=torch.float64)
    for row in log_probabilities:
        for score, probability in zip(row, row.exp(), strict=True):
            gradient = torch.cat(
                [g.reshape(-1) for g in torch.autograd.grad(score, problem.parameters, retain_graph=True)]
            )
            fisher += probability.detach() * torch.outer(gradient, gradient) / len(log_probabilities)
    product = fisher_product(problem.log_probabilities, problem.parameters, problem.valid, damping=0.3)
    expected = fisher + 0.3 * torch.eye(size, dtype=torch.float64)
    columns = torch.stack([product(unit) for unit in torch.eye(size, dtype=torch.float64)])
    torch.testing.assert_close(columns, expected, atol=1e-10, rtol=1e-8)


def test_conjugate_gradients_solve_a_positive_definite_system():
    stream = generator("cg")
    root = torch.from_numpy(stream.normal(size=(8, 8)))
    matrix, target = root @ root.T + torch.eye(8), torch.from_numpy(stream.normal(size=8))
    solution = conjugate_gradient(lambda v: matrix @ v, target, 40, 1e-20)
    torch.testing.assert_close(solution, torch.linalg.solve(matrix, target), atol=1e-7, rtol=1e-7)


def test_conjugate_gradients_stop_at_negative_curvature_and_at_nan():
    target = torch.ones(3, dtype=torch.float64)
    assert not conjugate_gradient(lambda v: -v, target, 10, 1e-10).any()
    assert not conjugate_gradient(lambda v: v * float("nan"), target, 10, 1e-10).any()


def test_the_surrogates_gradient_agrees_with_finite_differences():
    problem = Problem()
    with torch.no_grad():
        old = problem.log_probabilities() - 0.1 * torch.arange(CHOICES)

    def value():
        return surrogate(problem.log_probabilities(), old, problem.actions, problem.advantages, problem.valid)

    gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(value(), problem.parameters)])
    here = problem.flat()
    for index in range(len(here)):
        shifted = here.clone()
        ends = []
        for sign in (1, -1):
            shifted[index] = here[index] + sign * 1e-6
            problem.assign(shifted)
            ends.append(float(value().detach()))
        assert float(gradient[index]) == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-8)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("max_kl", [1e-4, 0.01, 0.2])
def test_a_step_improves_the_surrogate_inside_the_trust_region(seed, max_kl):
    problem = Problem(seed)
    with torch.no_grad():
        old = problem.log_probabilities()
    update = problem.update(max_kl=max_kl, damping=0.0, cg_iterations=40)
    with torch.no_grad():
        new = problem.log_probabilities()
    assert update.status is UpdateStatus.MOVED
    kl = float(mean_kl(old, new, problem.valid))
    assert 0 < kl <= max_kl
    assert update.kl == pytest.approx(kl)
    gain = surrogate(new, old, problem.actions, problem.advantages, problem.valid)
    gain = float(gain - surrogate(old, old, problem.actions, problem.advantages, problem.valid))
    assert gain > 0
    assert update.improvement == pytest.approx(gain)


def test_with_little_damping_a_small_step_reaches_the_regions_edge():
    update = Problem().update(max_kl=1e-7, damping=1e-4)
    assert update.step_size in (1.0, 0.5)
    assert update.kl == pytest.approx(1e-7 * update.step_size**2, rel=0.05)


def test_invalid_steps_do_not_move_the_policy():
    one, other = Problem(3), Problem(3)
    other.advantages = torch.where(other.valid, other.advantages, 50.0)
    other.actions = torch.where(other.valid, other.actions, 0)
    one.update()
    other.update()
    assert torch.equal(one.flat(), other.flat())


def test_equal_advantages_move_nothing():
    problem = Problem()
    before, problem.advantages = problem.flat(), torch.zeros_like(problem.advantages)
    assert problem.update().status is UpdateStatus.NO_GRADIENT
    assert torch.equal(problem.flat(), before)


def test_curvature_that_cannot_be_trusted_moves_nothing():
    problem = Problem()
    before, problem.advantages = problem.flat(), problem.advantages + 1
    start, fixed = [p.detach().clone() for p in problem.parameters], problem.log_probabilities().detach()

    def unnormalised():
        """Its KL to itself is a maximum, not a minimum."""
        moved = [(p - p0 + 1) for p, p0 in zip(problem.parameters, start, strict=True)]
        return fixed + sum((m**2 - 1).sum() for m in moved)

    problem.log_probabilities = unnormalised
    update = problem.update(damping=0.0)
    assert update.status is UpdateStatus.NO_CURVATURE
    assert torch.equal(problem.flat(), before)


def test_where_no_step_size_helps_the_policy_stays_as_it_was():
    problem = Problem()
    before = problem.flat()
    update = problem.update(accept_ratio=1e9)
    assert update.status is UpdateStatus.NO_STEP
    assert torch.equal(problem.flat(), before)


def test_advantages_that_are_not_finite_are_an_error():
    problem = Problem()
    problem.advantages[0, 0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        problem.update()


def test_a_masked_choice_keeps_probability_zero_and_disturbs_nothing():
    problem = Problem(allowed=(True, False, True))
    assert problem.update(max_kl=0.1).status is UpdateStatus.MOVED
    with torch.no_grad():
        after = problem.log_probabilities()
    assert not after[..., 1].exp().any()
    assert torch.isfinite(entropy(after, problem.valid))


def test_it_learns_a_chain_to_the_known_optimum():
    """Five states in a row; left pays 0.2 and ends, right pays 1 at the far end: the optimum goes right, for 1."""
    length = 5
    policy = PolicyNetwork(length, (16,), np.array([True, True]), ("chain",))
    stream = generator("chain")

    def roll(count):
        inputs, actions = np.zeros((count, length, length)), np.zeros((count, length), dtype=np.int64)
        rewards, valid = np.zeros((count, length)), np.zeros((count, length), dtype=bool)
        with torch.no_grad():
            right = policy(torch.eye(length, dtype=torch.float64)).exp()[:, 1].numpy()
        for row in range(count):
            for place in range(length):
                inputs[row, place, place] = 1
                valid[row, place] = True
                actions[row, place] = stream.random() < right[place]
                if not actions[row, place]:
                    rewards[row, place] = 0.2
                    break
                rewards[row, place] = float(place == length - 1)
        return (torch.from_numpy(array) for array in (inputs, actions, rewards, valid))

    for _ in range(40):
        inputs, actions, rewards, valid = roll(64)
        zeros = torch.zeros_like(rewards)
        gains = advantages(rewards, zeros, valid, zeros[:, 0], gamma=1.0, decay=1.0)
        trpo_update(
            lambda inputs=inputs: policy(inputs),
            list(policy.parameters()),
            actions,
            normalised(gains, valid),
            valid,
            TRPOConfig(max_kl=0.05),
        )
    _, _, rewards, _ = roll(500)
    assert float(rewards.sum(1).mean()) > 0.98
