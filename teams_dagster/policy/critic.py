"""Fitting the value network to returns with L-BFGS, as the reference does."""

from __future__ import annotations

import torch

from teams_dagster.policy.config import CriticConfig
from teams_dagster.policy.estimators import masked_mean
from teams_dagster.policy.network import ValueNetwork


def fit_critic(
    critic: ValueNetwork, features: torch.Tensor, targets: torch.Tensor, valid: torch.Tensor, config: CriticConfig
) -> float:
    """Fit `critic` in place to `targets` (episodes, steps) by least squares plus `l2` times the squared parameters.

    `features` has shape (episodes, steps, features). Returns the loss at the end. Raises ValueError when it is not
    finite.
    """
    optimiser = torch.optim.LBFGS(
        critic.parameters(), max_iter=config.iterations, history_size=config.iterations, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        error = masked_mean((critic(features) - targets) ** 2, valid)
        penalty = torch.stack([(parameter**2).sum() for parameter in critic.parameters()]).sum()
        return error + config.l2 * penalty

    def closure() -> float:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return float(value.detach())

    optimiser.step(closure)
    with torch.no_grad():
        final = float(loss())
    if final != final or final in (float("inf"), float("-inf")):
        raise ValueError(f"the critic's loss became {final}; check that every reward is finite")
    return final
