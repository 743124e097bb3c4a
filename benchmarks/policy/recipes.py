"""What both sides of an update are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TRPORecipe:
    """sb3-contrib's defaults."""

    max_kl: float = 0.01
    damping: float = 0.1
    cg_iterations: int = 15
    backtracks: int = 10
    shrink: float = 0.8
    learning_rate: float = 1e-3
    """Of the critic's Adam."""
    epochs: int = 10
    """Of the critic."""
    minibatch: int = 128
    """Of the critic."""


@dataclass(frozen=True)
class PPORecipe:
    """stable-baselines3's defaults, but for fewer passes; one Adam for policy and critic there, one each here."""

    learning_rate: float = 3e-4
    epochs: int = 4
    minibatch: int = 64
    clip: float = 0.2
    max_gradient_norm: float = 0.5


TRPO_RECIPE = TRPORecipe()
PPO_RECIPE = PPORecipe()
