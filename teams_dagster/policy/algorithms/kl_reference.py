"""A price on leaving a reference policy, paid through the reward, and how its weight follows the KL it is to hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from teams_dagster.policy.algorithms.controller_config import (
    AdaptiveControllerConfig,
    BallControllerConfig,
    KLReferenceConfig,
    PIDControllerConfig,
)
from teams_dagster.policy.network import FORBIDDEN

LogProbabilities = Callable[[torch.Tensor], torch.Tensor]
"""A policy: features (..., features) to log-probabilities (..., choices)."""


def uniform_reference(allowed: torch.Tensor) -> LogProbabilities:
    """The policy that chooses uniformly among the `allowed` choices, a bool mask of shape (choices,)."""
    row = torch.where(allowed, -torch.log(allowed.sum().double()), FORBIDDEN)
    return lambda features: row.expand(*features.shape[:-1], -1)


def frozen(policy: nn.Module) -> LogProbabilities:
    """`policy` as it is, without gradients."""

    def log_probabilities(features: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return policy(features)

    return log_probabilities


def gap(
    policy: LogProbabilities, reference: LogProbabilities, features: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """log pi_old, and log pi_old - log pi_ref, of every choice at `features`: both (states, choices), no gradients."""
    with torch.no_grad():
        old = policy(features)
        return old, old - reference(features)


def mean_gap(old: torch.Tensor, distance: torch.Tensor) -> float:
    """Mean KL(pi_old || pi_ref) over the states of `gap`, in nats."""
    return float((old.exp() * distance).sum(-1).mean())


FIRST_DECAY, SECOND_DECAY, ADAM_EPSILON = 0.9, 0.999, 1e-8
"""Adam's, of a ball's multiplier."""


@dataclass(frozen=True)
class Steering:
    """The weight of a reference term, and what its controller remembers."""

    kappa: float
    memory: tuple[float, ...] = ()
    """Empty before the first step. PID: what has been held so far, and the last KL; ball: Adam's steps and moments."""


def steered(now: Steering, kl: float, config: KLReferenceConfig) -> Steering:
    """After a batch whose mean KL(pi_old || pi_ref) was `kl`; unchanged where there is no target."""
    if config.target is None:
        return now
    match config.controller:
        case AdaptiveControllerConfig():
            return _adaptive(now, (kl - config.target) / config.target, config.controller)
        case PIDControllerConfig():
            return _pid(now, kl, config.target, config.controller)
        case BallControllerConfig():
            return _ball(now, kl - config.target, config.controller)


def _adaptive(now: Steering, error: float, config: AdaptiveControllerConfig) -> Steering:
    """kappa (1 + gain clip(error)), Ziegler et al. 2019, section 2.2."""
    if config.clip is not None:
        error = min(config.clip, max(-config.clip, error))
    return Steering(now.kappa * max(0.0, 1 + config.gain * error))


def _pid(now: Steering, kl: float, target: float, config: PIDControllerConfig) -> Steering:
    """Stooke et al. 2020, algorithm 2; its integral begins where kappa does."""
    held, before = now.memory or (now.kappa, kl)
    error = kl - target
    held = max(0.0, held + config.integral * error)
    kappa = max(0.0, held + config.proportional * error + config.derivative * max(0.0, kl - before))
    return Steering(kappa, (held, kl))


def _ball(now: Steering, error: float, config: BallControllerConfig) -> Steering:
    """Ascent of the multiplier of KL <= target by Adam, never below 0."""
    step, first, second = now.memory or (0.0, 0.0, 0.0)
    step += 1
    first = FIRST_DECAY * first + (1 - FIRST_DECAY) * error
    second = SECOND_DECAY * second + (1 - SECOND_DECAY) * error**2
    mean, scale = first / (1 - FIRST_DECAY**step), math.sqrt(second / (1 - SECOND_DECAY**step))
    return Steering(max(0.0, now.kappa + config.learning_rate * mean / (scale + ADAM_EPSILON)), (step, first, second))
