"""Trust region policy optimisation (Schulman et al. 2015) for any categorical policy.

Maximise L(theta) = E[ pi_theta(a|s) / pi_old(a|s) A ] subject to E[ KL(pi_old || pi_theta) ] <= max_kl:

1. g = gradient of L at theta_old;
2. d = F^-1 g by conjugate gradients, F the Fisher matrix (products with vectors, never the matrix);
3. the step s = d sqrt(2 max_kl / d.Fd) reaches the trust region's edge in the quadratic model;
4. shrink s until L truly improves, by a fair part of what was promised, and the true KL is inside the region.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch

from teams_dagster.policy.algorithms.config import TRPOConfig
from teams_dagster.policy.algorithms.objectives import Judge, mean_entropy, mean_kl
from teams_dagster.policy.algorithms.report import PolicyStep, UpdateStatus

LogProbabilities = Callable[[], torch.Tensor]
"""The policy under its present parameters, on the trained states: log-probabilities of shape (states, choices)."""

Product = Callable[[torch.Tensor], torch.Tensor]
"""v -> F v."""


def trpo_step(
    log_probabilities: LogProbabilities, parameters: Sequence[torch.Tensor], judge: Judge, config: TRPOConfig
) -> PolicyStep:
    """Move `parameters` one trust-region step, in place; they stay as they were unless its status is `moved`.

    Raises ValueError on advantages that are not finite.
    """
    here = log_probabilities()
    old = here.detach()
    batch = judge(old)
    if not bool(torch.isfinite(batch.advantages).all()):
        raise ValueError("an advantage is not finite; check the rewards and the critic's values")
    entropy, value = float(mean_entropy(old)), batch.surrogate(here)
    gradient = _flat(torch.autograd.grad(value, parameters, retain_graph=True))
    if float(cast(torch.Tensor, gradient.norm())) < 1e-12:  # pyright: ignore[reportUnknownMemberType]
        return PolicyStep(UpdateStatus.NO_GRADIENT, entropy)
    product = fisher_product(here, parameters, config.damping)
    direction, residual = conjugate_gradient(product, gradient, config.cg_iterations, config.cg_tolerance)
    curvature = float(direction @ (gradient - residual))  # d.Fd without another product
    if not (math.isfinite(curvature) and curvature > 0):
        return PolicyStep(UpdateStatus.NO_CURVATURE, entropy)
    full_step = direction * math.sqrt(2 * config.max_kl / curvature)
    promised = float(gradient @ full_step)

    before, start = float(value.detach()), _flat(parameters).detach()
    for attempt in range(config.backtracks):
        size = config.shrink**attempt
        _assign(parameters, start + size * full_step)
        with torch.no_grad():
            new = log_probabilities()
        improvement, kl = float(batch.surrogate(new)) - before, float(mean_kl(old, new))
        bounded = kl if config.line_search_kl == "old_new" else float(mean_kl(new, old))
        if bounded <= config.max_kl and improvement > 0 and improvement >= config.accept_ratio * size * promised:
            return PolicyStep(UpdateStatus.MOVED, entropy, kl, improvement, size)
    _assign(parameters, start)
    return PolicyStep(UpdateStatus.NO_STEP, entropy)


def fisher_product(log_probabilities: torch.Tensor, parameters: Sequence[torch.Tensor], damping: float) -> Product:
    """v -> (F + damping I) v, exact, for F = mean over states of J^T diag(pi) J, J the log-probabilities' Jacobian.

    That is the Hessian of the mean KL where old and new are the same policy, as the rows of diag(pi) J sum to 0 there.
    J^T u is one backward pass and linear in u, so J v is the backward pass of that: two matrix products a layer, where
    differentiating the KL twice takes more.
    """
    weights = log_probabilities.detach().exp() / len(log_probabilities)
    u = torch.zeros_like(log_probabilities, requires_grad=True)
    transposed = _flat(torch.autograd.grad(log_probabilities, parameters, u, create_graph=True))

    def product(vector: torch.Tensor) -> torch.Tensor:
        (moved,) = torch.autograd.grad(transposed, u, vector, retain_graph=True)
        return _flat(torch.autograd.grad(log_probabilities, parameters, weights * moved, retain_graph=True)) + (
            damping * vector
        )

    return product


def conjugate_gradient(
    product: Product, target: torch.Tensor, iterations: int, tolerance: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve `product(x) = target` for a positive definite `product`, starting at 0: x and its residual.

    Stops early where the curvature along the search direction is not positive and finite, and keeps what it has.
    """
    solution, residual, direction = torch.zeros_like(target), target.clone(), target.clone()
    norm = residual @ residual
    for _ in range(iterations):
        if float(norm) < tolerance:
            break
        curved = product(direction)
        curvature = direction @ curved
        if not (math.isfinite(float(curvature)) and float(curvature) > 0):
            break
        step = norm / curvature
        solution = solution + step * direction
        residual = residual - step * curved
        norm, previous = residual @ residual, norm
        direction = residual + (norm / previous) * direction
    return solution, residual


def _flat(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _assign(parameters: Sequence[torch.Tensor], flat: torch.Tensor) -> None:
    with torch.no_grad():
        offset = 0
        for parameter in parameters:
            parameter.copy_(flat[offset : offset + parameter.numel()].view_as(parameter))
            offset += parameter.numel()
