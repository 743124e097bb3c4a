"""A price on leaving a reference policy, paid through the reward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

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
