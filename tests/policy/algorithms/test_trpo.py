"""Trust region policy optimisation, against explicit matrices."""

import numpy as np
import pytest
import torch

from teams_dagster.core.rng import generator
from teams_dagster.policy.algorithms.config import TRPOConfig
from teams_dagster.policy.algorithms.objectives import mean_entropy, mean_kl, sampled
from teams_dagster.policy.algorithms.report import UpdateStatus
from teams_dagster.policy.algorithms.trpo import conjugate_gradient, fisher_product, trpo_step
from teams_dagster.policy.network import PolicyNetwork

FEATURES, CHOICES = 4, 3


class Problem:
    """A random policy and 20 random steps."""

    def __init__(self, seed=0, allowed=(True, True, True)):
        stream = generator("trpo-test", seed)
        self.policy = PolicyNetwork(FEATURES, (5,), np.array(allowed), ("w", seed))
        with torch.no_grad():
            for parameter in self.policy.parameters():
                parameter.copy_(torch.from_numpy(stream.normal(0, 0.6, size=tuple(parameter.shape))))
        self.parameters = list(self.policy.parameters())
        self.features = torch.from_numpy(stream.normal(size=(20, FEATURES)))
        self.actions = torch.from_numpy(stream.choice(np.flatnonzero(allowed), size=20))
        self.advantages = torch.from_numpy(stream.normal(size=20))

    def log_probabilities(self):
        return self.policy(self.features)

    def judge(self, old):
        return sampled(self.actions, self.advantages)(old)

    def flat(self):
        return torch.cat([parameter.detach().reshape(-1) for parameter in self.parameters]).clone()

    def step(self, **config):
        return trpo_step(self.log_probabilities, self.parameters, self.judge, TRPOConfig(**config))


def explicit_fisher(problem):
    """The mean over states of the sum over choices of probability x outer product of the score."""
    log_probabilities = problem.log_probabilities()
    fisher = torch.zeros(len(problem.flat()), len(problem.flat()), dtype=torch.float64)
    for row in log_probabilities:
        for score, probability in zip(row, row.exp(), strict=True):
            gradient = torch.cat(
                [g.reshape(-1) for g in torch.autograd.grad(score, problem.parameters, retain_graph=True)]
            )
            fisher += probability.detach() * torch.outer(gradient, gradient) / len(log_probabilities)
    return fisher


def test_fisher_products_are_those_of_the_explicit_fisher_matrix():
    problem = Problem()
    units = torch.eye(len(problem.flat()), dtype=torch.float64)
    product = fisher_product(problem.log_probabilities(), problem.parameters, damping=0.3)
    columns = torch.stack([product(unit) for unit in units])
    torch.testing.assert_close(columns, explicit_fisher(problem) + 0.3 * units, atol=1e-12, rtol=1e-10)


def test_fisher_products_are_those_of_the_kls_hessian():
    problem, vector = Problem(1), torch.from_numpy(generator("v").normal(size=43))
    log_probabilities = problem.log_probabilities()
    divergence = mean_kl(log_probabilities.detach(), log_probabilities)
    slope = torch.autograd.grad(divergence, problem.parameters, create_graph=True)
    slope = torch.cat([part.reshape(-1) for part in slope]) @ vector
    curved = torch.autograd.grad(slope, problem.parameters)
    expected = torch.cat([part.reshape(-1) for part in curved])
    product = fisher_product(problem.log_probabilities(), problem.parameters, damping=0.0)
    torch.testing.assert_close(product(vector), expected, atol=1e-12, rtol=1e-10)


def test_the_first_step_tried_solves_the_quadratic_model():
    """d = (F + damping I)^-1 g, stretched to where d.(F + damping I)d = 2 max_kl; here by explicit matrices."""
    problem = Problem(2)
    log_probabilities, before = problem.log_probabilities(), problem.flat()
    objective = problem.judge(log_probabilities.detach()).surrogate(log_probabilities)
    gradient = torch.autograd.grad(objective, problem.parameters, retain_graph=True)
    gradient = torch.cat([part.reshape(-1) for part in gradient])
    damped = explicit_fisher(problem) + 0.1 * torch.eye(len(gradient), dtype=torch.float64)
    direction = torch.linalg.solve(damped, gradient)
    expected = direction * (2 * 1e-3 / (direction @ damped @ direction)).sqrt()
    step = problem.step(max_kl=1e-3, damping=0.1, cg_iterations=60, cg_tolerance=1e-24)
    assert step.step_size == 1.0
    torch.testing.assert_close(problem.flat() - before, expected, atol=1e-10, rtol=1e-7)


def test_conjugate_gradients_solve_a_positive_definite_system():
    stream = generator("cg")
    root = torch.from_numpy(stream.normal(size=(8, 8)))
    matrix, target = root @ root.T + torch.eye(8), torch.from_numpy(stream.normal(size=8))
    solution, _ = conjugate_gradient(lambda v: matrix @ v, target, 40, 1e-20)
    torch.testing.assert_close(solution, torch.linalg.solve(matrix, target), atol=1e-7, rtol=1e-7)


def test_conjugate_gradients_know_their_residual():
    stream = generator("residual")
    root = torch.from_numpy(stream.normal(size=(8, 8)))
    matrix, target = root @ root.T + torch.eye(8), torch.from_numpy(stream.normal(size=8))
    solution, residual = conjugate_gradient(lambda v: matrix @ v, target, 3, 1e-20)
    torch.testing.assert_close(residual, target - matrix @ solution, atol=1e-10, rtol=1e-10)


def test_conjugate_gradients_stop_at_negative_curvature_and_at_nan():
    target = torch.ones(3, dtype=torch.float64)
    assert not conjugate_gradient(lambda v: -v, target, 10, 1e-10)[0].any()
    assert not conjugate_gradient(lambda v: v * float("nan"), target, 10, 1e-10)[0].any()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("max_kl", [1e-4, 0.01, 0.2])
def test_a_step_improves_the_surrogate_inside_the_trust_region(seed, max_kl):
    problem = Problem(seed)
    old = problem.log_probabilities().detach()
    step = problem.step(max_kl=max_kl, damping=0.0, cg_iterations=40)
    new = problem.log_probabilities().detach()
    batch = problem.judge(old)
    assert step.status is UpdateStatus.MOVED
    assert 0 < step.kl <= max_kl
    assert step.kl == pytest.approx(float(mean_kl(old, new)))
    assert step.improvement > 0
    assert step.improvement == pytest.approx(float(batch.surrogate(new) - batch.surrogate(old)))


@pytest.mark.parametrize("seed", range(8))
def test_the_kl_that_bounds_a_step_is_the_one_named(seed):
    problem = Problem(seed)
    old = problem.log_probabilities().detach()
    problem.step(max_kl=0.2, damping=0.0, cg_iterations=40, line_search_kl="new_old", shrink=0.95, backtracks=60)
    assert float(mean_kl(problem.log_probabilities().detach(), old)) <= 0.2


def test_with_little_damping_a_small_step_reaches_the_regions_edge():
    step = Problem().step(max_kl=1e-7, damping=1e-4)
    assert step.step_size in (1.0, 0.5)
    assert step.kl == pytest.approx(1e-7 * step.step_size**2, rel=0.05)


def test_the_same_batch_gives_the_same_bits():
    one, other = Problem(3), Problem(3)
    one.step()
    other.step()
    assert torch.equal(one.flat(), other.flat())


def test_equal_advantages_move_nothing():
    problem = Problem()
    before, problem.advantages = problem.flat(), torch.zeros_like(problem.advantages)
    assert problem.step().status is UpdateStatus.NO_GRADIENT
    assert torch.equal(problem.flat(), before)


def test_curvature_that_cannot_be_trusted_moves_nothing():
    problem = Problem()
    before, log_probabilities = problem.flat(), problem.log_probabilities
    problem.log_probabilities = lambda: log_probabilities() * float("nan")
    assert problem.step(damping=0.0).status is UpdateStatus.NO_CURVATURE
    assert torch.equal(problem.flat(), before)


def test_where_no_step_size_helps_the_policy_stays_as_it_was():
    problem = Problem()
    before = problem.flat()
    assert problem.step(accept_ratio=1e9).status is UpdateStatus.NO_STEP
    assert torch.equal(problem.flat(), before)


def test_advantages_that_are_not_finite_are_an_error():
    problem = Problem()
    problem.advantages[0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        problem.step()


def test_a_masked_choice_keeps_probability_zero_and_disturbs_nothing():
    problem = Problem(allowed=(True, False, True))
    assert problem.step(max_kl=0.1).status is UpdateStatus.MOVED
    after = problem.log_probabilities().detach()
    assert not after[..., 1].exp().any()
    assert torch.isfinite(mean_entropy(after))
