"""What an update did."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class UpdateStatus(StrEnum):
    """What became of the policy."""

    MOVED = "moved"
    NO_STEPS = "no_steps"
    """The batch has nothing that this algorithm trains the policy on."""
    NO_GRADIENT = "no_gradient"
    """The gradient is zero: every advantage is equal."""
    NO_CURVATURE = "no_curvature"
    """TRPO: d.Fd is not positive or not finite, so no step length can be trusted."""
    NO_STEP = "no_step"
    """TRPO: no step size tried improves the surrogate inside the region."""
    STOPPED_EARLY = "stopped_early"
    """PPO: moved, and stopped at `target_kl` before all passes were done."""


@dataclass(frozen=True)
class PolicyStep:
    """What became of the policy; the fields are those of `UpdateReport`."""

    status: UpdateStatus
    entropy: float = 0.0
    kl: float = 0.0
    improvement: float = 0.0
    step_size: float = 0.0
    clip_fraction: float | None = None
    imitation_loss: float | None = None


@dataclass(frozen=True)
class UpdateReport:
    """One update in numbers, each finite or None."""

    status: str
    """`UpdateStatus`."""
    phase: str
    """The algorithm whose update this was: LOLS and D2LOLS alternate between two."""
    policy_steps: int
    """States that the policy was trained on."""
    critic_steps: int
    """States that a critic was fitted on."""
    entropy: float
    """Mean entropy of the acting policy over the states it was trained on, in nats; 0 where there is none."""
    kl: float
    """Mean KL(old || new) over the same states."""
    improvement: float
    """Over the same states, after less before: the surrogate (TRPO, PPO) or the log-likelihood (imitation)."""
    step_size: float
    """TRPO: fraction of the full step that was taken. Others: share of the planned optimiser steps that were taken."""
    critic_loss: float | None = None
    """After the fit, over the states it was fitted on."""
    explained_variance: float | None = None
    """Of the critic that gave the advantages, before its fit, over the states it is fitted on."""
    clip_fraction: float | None = None
    """PPO: share of trained choices whose likelihood ratio ended outside the clip."""
    kappa: float | None = None
    """Weight of the reference term in the next update."""
    imitation_loss: float | None = None
    """-mean log pi(guide's choice | s) before the update, over guide-labelled states."""
    discriminator_loss: float | None = None
    """GAIL: the discriminator's logistic loss before its fit, the guide's texts and the learner's counting alike."""
