"""Our own updates on the shared batch, told what the peers are told."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.policy.batches import CHOICES, DECAY, FEATURES, GAMMA, HIDDEN, Rollouts
from benchmarks.policy.recipes import PPO_RECIPE, TRPO_RECIPE
from teams_dagster.policy.algorithms.batch import Batch
from teams_dagster.policy.algorithms.config import (
    AdamCriticConfig,
    CriticConfig,
    LBFGSCriticConfig,
    PPOConfig,
    TRPOConfig,
)
from teams_dagster.policy.algorithms.learner import Learner


def algorithm_config(algorithm: str) -> TRPOConfig | PPOConfig:
    """The configuration that does what the peers' one does."""
    if algorithm == "trpo":
        t = TRPO_RECIPE
        return TRPOConfig(
            max_kl=t.max_kl,
            damping=t.damping,
            cg_iterations=t.cg_iterations,
            backtracks=t.backtracks,
            shrink=t.shrink,
            accept_ratio=0.0,
            line_search_kl="new_old",
        )
    p = PPO_RECIPE
    return PPOConfig(
        learning_rate=p.learning_rate,
        epochs=p.epochs,
        minibatch=p.minibatch,
        clip=p.clip,
        max_gradient_norm=p.max_gradient_norm,
        normalise="minibatch",
    )


def critic_config(algorithm: str, *, own: bool) -> CriticConfig:
    """The peers' way to fit a critic, or our own."""
    if own:
        return LBFGSCriticConfig()
    recipe = TRPO_RECIPE if algorithm == "trpo" else PPO_RECIPE
    return AdamCriticConfig(
        learning_rate=recipe.learning_rate,
        epochs=recipe.epochs,
        minibatch=recipe.minibatch,
        half=False,
        max_gradient_norm=None if algorithm == "trpo" else PPO_RECIPE.max_gradient_norm,
    )


def learner(algorithm: str, *, own_critic: bool) -> Learner:
    """A learner before its first update."""
    return Learner.new(
        features=FEATURES,
        hidden=HIDDEN,
        allowed=np.ones(CHOICES, dtype=bool),
        algorithm=algorithm_config(algorithm),
        critic=critic_config(algorithm, own=own_critic),
        kl=None,
        gamma=GAMMA,
        decay=DECAY,
        root_seed=0,
    )


def tensors(rollouts: Rollouts) -> Batch:
    """The batch as an algorithm takes it."""
    episodes, steps = rollouts.actions.shape
    return Batch(
        features=torch.from_numpy(rollouts.features),
        actions=torch.from_numpy(rollouts.actions),
        rewards=torch.from_numpy(rollouts.rewards),
        valid=torch.ones((episodes, steps), dtype=torch.bool),
        final_features=torch.zeros((episodes, FEATURES), dtype=torch.float64),
        truncated=torch.zeros(episodes, dtype=torch.bool),
        by_learner=torch.ones((episodes, steps), dtype=torch.bool),
        labels=torch.full((episodes, steps), -1),
    )
