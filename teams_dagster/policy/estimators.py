"""Returns and advantages of batches of episodes (Schulman et al. 2016, Generalized Advantage Estimation).

Everything here takes tensors of shape (episodes, steps) with a validity mask and knows nothing of operations, horizons
or texts. An episode's valid steps come first. `final_values` (episodes,) is the value of the state after its last
valid step: 0 where the episode ended, V(s) where it was truncated.
"""

from __future__ import annotations

import torch

EPSILON = 1e-8
"""Added to a standard deviation before dividing by it."""


def advantages(
    rewards: torch.Tensor,
    values: torch.Tensor,
    valid: torch.Tensor,
    final_values: torch.Tensor,
    *,
    gamma: float,
    decay: float,
) -> torch.Tensor:
    """GAE (equation 16): A_t = sum over l of (gamma decay)^l delta_{t+l}; 0 at invalid steps.

    delta_t = r_t + gamma V(s_{t+1}) - V(s_t). `decay` is the paper's lambda, the reference's tau.
    """
    result = torch.zeros_like(rewards)
    next_value, next_advantage = final_values, torch.zeros_like(final_values)
    for step in reversed(range(rewards.shape[1])):
        here = valid[:, step]
        delta = rewards[:, step] + gamma * next_value - values[:, step]
        advantage = delta + gamma * decay * next_advantage
        result[:, step] = torch.where(here, advantage, 0.0)
        next_value = torch.where(here, values[:, step], next_value)
        next_advantage = torch.where(here, advantage, next_advantage)
    return result


def discounted_returns(
    rewards: torch.Tensor, valid: torch.Tensor, final_values: torch.Tensor, *, gamma: float
) -> torch.Tensor:
    """R_t = r_t + gamma R_{t+1}, with R after the last valid step equal to `final_values`; 0 at invalid steps."""
    result = torch.zeros_like(rewards)
    following = final_values
    for step in reversed(range(rewards.shape[1])):
        here = valid[:, step]
        value = rewards[:, step] + gamma * following
        result[:, step] = torch.where(here, value, 0.0)
        following = torch.where(here, value, following)
    return result


def masked_mean(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean over valid entries. Raises ValueError when there is none."""
    count = int(valid.sum())
    if count == 0:
        raise ValueError("no valid step to average over: every episode of the batch was truncated at its first step")
    return torch.where(valid, values, 0.0).sum() / count


def normalised(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """`values` with mean 0 and standard deviation 1 over the valid entries; 0 elsewhere."""
    centred = values - masked_mean(values, valid)
    deviation = masked_mean(centred**2, valid).sqrt()
    return torch.where(valid, centred / (deviation + EPSILON), 0.0)


def explained_variance(predicted: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> float:
    """1 - Var[target - predicted] / Var[target] over valid entries; 0 when the target is constant."""
    errors, targets = (target - predicted)[valid], target[valid]
    spread = float(targets.var(unbiased=False)) if len(targets) else 0.0
    return 1.0 - float(errors.var(unbiased=False)) / spread if spread > 0 else 0.0
