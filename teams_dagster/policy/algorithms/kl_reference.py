"""A price on leaving a reference policy, paid through the reward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from teams_dagster.policy.algorithms.config import KLReferenceConfig
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


def penalised(rewards: torch.Tensor, log_ratio: torch.Tensor, by_learner: torch.Tensor, kappa: float) -> torch.Tensor:
    """r~ = r - kappa (log pi_old(a|s) - log pi_ref(a|s)) where the learner chose; r elsewhere. All of one shape."""
    return torch.where(by_learner, rewards - kappa * log_ratio, rewards)


def next_kappa(kappa: float, kl: float, config: KLReferenceConfig) -> float:
    """kappa (1 + 0.1 clip((KL - target) / target, -0.2, 0.2)); unchanged where there is no target."""
    if config.target is None:
        return kappa
    error = (kl - config.target) / config.target
    return kappa * (1 + 0.1 * min(0.2, max(-0.2, error)))
