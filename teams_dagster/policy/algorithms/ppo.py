"""Proximal policy optimisation (Schulman et al. 2017): several passes of minibatch steps up the clipped surrogate."""

from __future__ import annotations

import torch
from torch import nn

from teams_dagster.policy.algorithms.config import PPOConfig
from teams_dagster.policy.algorithms.labelled import Labelled
from teams_dagster.policy.algorithms.minibatches import Index, Key, gradient_step, minibatches, take
from teams_dagster.policy.algorithms.objectives import AdvantageBatch, Judge, mean_entropy, mean_kl
from teams_dagster.policy.algorithms.report import PolicyStep, UpdateStatus


def ppo_step(
    policy: nn.Module,
    optimiser: torch.optim.Adam,
    features: torch.Tensor,
    judge: Judge,
    labelled: Labelled | None,
    config: PPOConfig,
    key: Key,
) -> PolicyStep:
    """Move `policy` up the clipped surrogate of the states `features` (states, features), in place.

    Each minibatch also takes its share of `labelled`, whose likelihood counts `imitation_weight`. Minibatches are drawn
    from `key`. Raises ValueError on advantages that are not finite.
    """
    with torch.no_grad():
        old = policy(features)
        batch = judge(old)
        imitated = float(labelled.loss(policy)) if labelled else None
    if not bool(torch.isfinite(batch.advantages).all()):
        raise ValueError("an advantage is not finite; check the rewards and the critic's values")
    status, taken, planned = UpdateStatus.MOVED, 0, 0
    for epoch in range(config.epochs):
        passes = _passes(len(batch), labelled, config.minibatch, (*key, epoch))
        planned += len(passes)
        for index, guided in passes if status is UpdateStatus.MOVED else ():
            part, new = batch.rows(index), policy(take(features, index))
            if config.target_kl and float(part.divergence(new.detach())) > 1.5 * config.target_kl:
                status = UpdateStatus.STOPPED_EARLY
                break
            loss = ppo_loss(part, new, config)
            if guided is not None:
                loss = loss + config.imitation_weight * guided.loss(policy)
            gradient_step(loss, optimiser, config.max_gradient_norm)
            taken += 1
    with torch.no_grad():
        new = policy(features)
    return PolicyStep(
        status,
        entropy=float(mean_entropy(old)),
        kl=float(mean_kl(old, new)),
        improvement=float(batch.surrogate(new) - batch.surrogate(old)),
        step_size=taken / planned,
        clip_fraction=float(batch.clip_fraction(new, config.clip)),
        imitation_loss=imitated,
    )


def ppo_loss(batch: AdvantageBatch, new: torch.Tensor, config: PPOConfig) -> torch.Tensor:
    """Minus the clipped surrogate, minus `entropy_weight` times the entropy."""
    if config.normalise == "minibatch":
        batch = batch.normalised()
    loss = -batch.clipped(new, config.clip)
    return loss - config.entropy_weight * mean_entropy(new) if config.entropy_weight else loss


def _passes(states: int, labelled: Labelled | None, size: int, key: Key) -> list[tuple[Index, Labelled | None]]:
    """One pass: minibatches of states, each with its share of `labelled` (None where there are too few)."""
    parts = list(minibatches(states, size, (*key, "states")))
    if labelled is None:
        return [(part, None) for part in parts]
    return list(zip(parts, labelled.shares(len(parts), (*key, "labelled")), strict=True))
