"""Trust region policy optimisation (Schulman et al. 2015) for any categorical policy.

Maximise L(theta) = E[ pi_theta(a|s) / pi_old(a|s) A ] subject to E[ KL(pi_old || pi_theta) ] <= max_kl:

1. g = gradient of L at theta_old;
2. d = F^-1 g by conjugate gradients, F the Hessian of the mean KL (Fisher-vector products, never the matrix);
3. the step s = d sqrt(2 max_kl / d.Fd) reaches the trust region's edge in the quadratic model;
4. shrink s until L truly improves, by a fair part of what was promised, and the true KL is inside the region.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch

from teams_dagster.policy.config import TRPOConfig
from teams_dagster.policy.estimators import masked_mean

LogProbabilities = Callable[[], torch.Tensor]
"""The policy under its present parameters: log-probabilities of every choice, shape (episodes, steps, choices)."""


class UpdateStatus(StrEnum):
    """What became of an update."""

    MOVED = "moved"
    NO_GRADIENT = "no_gradient"
    """The gradient is zero: every advantage is equal."""
    NO_CURVATURE = "no_curvature"
    """d.Fd is not positive or not finite, so no step length can be trusted."""
    NO_STEP = "no_step"
    """No step size tried improves L inside the region."""


@dataclass(frozen=True)
class TRPOUpdate:
    """What an update did. Parameters are as before unless `status` is `moved`."""

    status: UpdateStatus
    kl: float = 0.0
    """Mean KL(old || new) after the step."""
    improvement: float = 0.0
    """L(new) - L(old)."""
    step_size: float = 0.0
    """Fraction of the full step that was taken."""


def surrogate(
    log_probabilities: torch.Tensor,
    old: torch.Tensor,
    actions: torch.Tensor,
    advantages: torch.Tensor,
    valid: torch.Tensor,
) -> torch.Tensor:
    """L (equation 14): the mean over valid steps of the likelihood ratio times the advantage."""
    chosen = actions.unsqueeze(-1)
    ratio = torch.exp((log_probabilities - old).gather(-1, chosen).squeeze(-1))
    return masked_mean(ratio * advantages, valid)


def mean_kl(old: torch.Tensor, new: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean KL(old || new) over valid steps, of log-probabilities shaped (episodes, steps, choices)."""
    return masked_mean((old.exp() * (old - new)).sum(-1), valid)


def entropy(log_probabilities: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean entropy over valid steps, in nats."""
    return masked_mean(-(log_probabilities.exp() * log_probabilities).sum(-1), valid)


def fisher_product(
    log_probabilities: LogProbabilities, parameters: Sequence[torch.Tensor], valid: torch.Tensor, damping: float
) -> Callable[[torch.Tensor], torch.Tensor]:
    """v -> (F + damping I) v, exact: the Hessian of the mean KL at the present parameters, times v."""
    present = log_probabilities()
    slope = _flat(torch.autograd.grad(mean_kl(present.detach(), present, valid), parameters, create_graph=True))

    def product(vector: torch.Tensor) -> torch.Tensor:
        curved = torch.autograd.grad(slope @ vector, parameters, retain_graph=True)
        return _flat(curved) + damping * vector

    return product


def conjugate_gradient(
    product: Callable[[torch.Tensor], torch.Tensor], target: torch.Tensor, iterations: int, tolerance: float
) -> torch.Tensor:
    """Solve `product(x) = target` for a positive definite `product`, starting at 0.

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
    return solution


def trpo_update(
    log_probabilities: LogProbabilities,
    parameters: Sequence[torch.Tensor],
    actions: torch.Tensor,
    advantages: torch.Tensor,
    valid: torch.Tensor,
    config: TRPOConfig,
) -> TRPOUpdate:
    """Move `parameters` one trust-region step, in place.

    `actions` (long), `advantages` and `valid` (bool) have shape (episodes, steps). Raises ValueError on advantages
    that are not finite.
    """
    if not bool(torch.isfinite(advantages[valid]).all()):
        raise ValueError("an advantage is not finite; check the rewards and the critic's values")
    with torch.no_grad():
        old = log_probabilities()
    here = surrogate(log_probabilities(), old, actions, advantages, valid)
    gradient = _flat(torch.autograd.grad(here, parameters))
    if float(gradient.norm()) < 1e-12:
        return TRPOUpdate(UpdateStatus.NO_GRADIENT)
    product = fisher_product(log_probabilities, parameters, valid, config.damping)
    direction = conjugate_gradient(product, gradient, config.cg_iterations, config.cg_tolerance)
    curvature = float(direction @ product(direction))
    if not (math.isfinite(curvature) and curvature > 0):
        return TRPOUpdate(UpdateStatus.NO_CURVATURE)
    full_step = direction * math.sqrt(2 * config.max_kl / curvature)
    promised = float(gradient @ full_step)

    start = _flat(parameters).detach().clone()
    for attempt in range(config.backtracks):
        size = config.shrink**attempt
        _assign(parameters, start + size * full_step)
        with torch.no_grad():
            new = log_probabilities()
            improvement = float(surrogate(new, old, actions, advantages, valid) - here)
            kl = float(mean_kl(old, new, valid))
        if kl <= config.max_kl and improvement > 0 and improvement >= config.accept_ratio * size * promised:
            return TRPOUpdate(UpdateStatus.MOVED, kl, improvement, size)
    _assign(parameters, start)
    return TRPOUpdate(UpdateStatus.NO_STEP)


def _flat(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _assign(parameters: Sequence[torch.Tensor], flat: torch.Tensor) -> None:
    with torch.no_grad():
        offset = 0
        for parameter in parameters:
            parameter.copy_(flat[offset : offset + parameter.numel()].view_as(parameter))
            offset += parameter.numel()
