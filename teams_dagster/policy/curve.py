"""The learning curve: one record an iteration, and when it says that training is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SMOOTHED = 4
"""Iterations whose mean return is compared: one batch alone is luck."""


@dataclass(frozen=True)
class IterationRecord:
    """One point of the learning curve: the batch that the policy of this iteration met, and the update made of it."""

    iteration: int
    policy_version: str
    """The policy that acted, before the update."""
    episodes: int
    truncated: int
    queries: int
    """All of them, the guide's included."""
    guidance_queries: int
    """Questions to the guide."""
    fallbacks: int
    """Operations drawn because the guide's answers could not be read."""
    mean_return: float
    accepted_per_query: float
    accepted_per_episode: float
    reward_variance: float
    unclear: int
    operation_mix: dict[str, float]
    """Share of each operation among the batch's transitions."""
    eliminated: dict[str, int]
    phase: str
    """Which algorithm's update it was: LOLS and D2LOLS change between two."""
    update: str
    """What became of the policy update."""
    policy_steps: int
    """Transitions that the policy learnt from."""
    critic_steps: int
    entropy: float
    """Mean entropy of the acting policy, in nats."""
    kl: float
    improvement: float
    step_size: float
    explained_variance: float | None
    """Of the critic that gave the advantages, before its fit; None where there was none."""
    critic_loss: float | None
    clip_fraction: float | None
    kappa: float | None
    """The price of moving away from the reference policy."""
    imitation_loss: float | None


def stops_early(curve: Sequence[IterationRecord], patience: int) -> bool:
    """Whether the last `patience` iterations brought no better return, on the mean of `SMOOTHED` iterations.

    A function of the curve alone, so that a resumed training stops where an uninterrupted one does.
    """
    if not patience or len(curve) < SMOOTHED + patience:
        return False
    returns = [record.mean_return for record in curve]
    means = [sum(returns[end - SMOOTHED : end]) / SMOOTHED for end in range(SMOOTHED, len(returns) + 1)]
    return max(means[-patience:]) <= max(means[:-patience])
