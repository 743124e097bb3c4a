"""Passes over whole texts in shuffled minibatches, each accumulated from parts, and the AdamW step taken on each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from teams_dagster.policy.algorithms.minibatches import Key, minibatches
from teams_dagster.rlgf.step_config import FitConfig


@dataclass(frozen=True)
class Passes:
    """How far the passes came."""

    taken: int
    """Optimiser steps."""
    planned: int

    @property
    def stopped(self) -> bool:
        """Whether they ended before their time."""
        return self.taken < self.planned

    @property
    def share(self) -> float:
        """Of the planned steps, those taken."""
        return self.taken / self.planned


def learn_texts(
    optimiser: torch.optim.Optimizer,
    texts: torch.Tensor,
    config: FitConfig,
    key: Key,
    losses: Callable[[torch.Tensor], Iterable[torch.Tensor]],
    goes_on: Callable[[], bool] = lambda: True,
) -> Passes:
    """Steps down the losses of minibatches of `texts` (long: which of a batch), drawn from `key`.

    `losses` gives the parts whose sum is a minibatch's loss; each is differentiated before the next is computed.
    `goes_on` is asked after them and before the step: where it says no, that step and all later ones are left out.
    Raises ValueError before the step of a minibatch whose loss is not finite.
    """
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    plans = [
        part
        for epoch in range(config.epochs)
        for part in minibatches(len(texts), config.minibatch, (*key, epoch, "texts"))
    ]
    for taken, part in enumerate(plans):
        optimiser.zero_grad()
        for loss in losses(texts if part is None else texts[part]):
            if not bool(loss.isfinite()):
                raise ValueError(
                    f"the loss of minibatch {taken + 1} of {len(plans)} is {loss.item()}, which is not finite: check"
                    f" the rewards, or give a learning_rate below {config.learning_rate:g}"
                )
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
        if not goes_on():
            return Passes(taken, len(plans))
        if config.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(weights, config.max_gradient_norm)
        optimiser.step()
    return Passes(len(plans), len(plans))
