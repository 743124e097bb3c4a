"""Fitting a critic to what the states were worth: L-BFGS as TeaMs-RL does, or minibatch Adam as PPO does.

Everything here takes the states that are fitted, masked ones already dropped: features (states, features), values and
targets (states,).
"""

from __future__ import annotations

import math

import torch
from torch import nn

from teams_dagster.policy.algorithms.config import AdamCriticConfig, LBFGSCriticConfig
from teams_dagster.policy.algorithms.minibatches import Key, gradient_step, minibatches, take


def fit_lbfgs(critic: nn.Module, features: torch.Tensor, targets: torch.Tensor, config: LBFGSCriticConfig) -> float:
    """Fit `critic` in place to `targets` by least squares plus `l2` times the squared parameters.

    Returns the loss at the end. Raises ValueError when it is not finite.
    """
    parameters = list(critic.parameters())
    optimiser = torch.optim.LBFGS(
        parameters, max_iter=config.iterations, history_size=config.iterations, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        penalty = torch.stack([(parameter**2).sum() for parameter in parameters]).sum()
        return ((critic(features) - targets) ** 2).mean() + config.l2 * penalty

    def closure() -> float:
        optimiser.zero_grad()
        value = loss()
        value.backward()  # pyright: ignore[reportUnknownMemberType]
        return float(value.detach())

    optimiser.step(closure)  # pyright: ignore[reportUnknownMemberType]
    with torch.no_grad():
        return _finite(float(loss()))


def fit_adam(
    critic: nn.Module,
    optimiser: torch.optim.Adam,
    features: torch.Tensor,
    targets: torch.Tensor,
    values: torch.Tensor,
    config: AdamCriticConfig,
    key: Key,
) -> float:
    """Fit `critic` in place to `targets`; `values` are its own before the fit. Minibatches are drawn from `key`.

    Returns the loss at the end over all states. Raises ValueError when it is not finite.
    """
    for epoch in range(config.epochs):
        for index in minibatches(len(targets), config.minibatch, (*key, epoch, "states")):
            loss = value_loss(critic(take(features, index)), take(targets, index), take(values, index), config)
            gradient_step(loss, optimiser, config.max_gradient_norm)
    with torch.no_grad():
        return _finite(float(value_loss(critic(features), targets, values, config)))


def value_loss(
    predicted: torch.Tensor, targets: torch.Tensor, values: torch.Tensor, config: AdamCriticConfig
) -> torch.Tensor:
    """Mean squared error, of values that count as moved by at most `value_clip` from `values` where that is set."""
    error = (predicted - targets) ** 2
    if config.value_clip is not None:
        moved = (predicted - values).clamp(-config.value_clip, config.value_clip)
        clipped = (values + moved - targets) ** 2
        error = torch.maximum(error, clipped) if config.clip_takes_max else clipped
    return error.mean() * (0.5 if config.half else 1.0)


def _finite(loss: float) -> float:
    if not math.isfinite(loss):
        raise ValueError(f"the critic's loss became {loss}; check that every reward is finite")
    return loss
