"""Passes over a batch in shuffled parts, and the Adam step taken on each."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from teams_dagster.core.rng import generator

Key = tuple[str | int, ...]
"""Names a random stream."""

Index = torch.Tensor | None
"""Rows of a minibatch; None: all of them, in their order."""


def minibatches(count: int, size: int, key: Key) -> Sequence[Index]:
    """One pass over `count` rows in an order drawn from `key`, `size` at a time (the last may be smaller; 0: all)."""
    return [None] if size == 0 or size >= count else torch.split(shuffled(count, key), size)


def shuffled(count: int, key: Key) -> torch.Tensor:
    """The numbers below `count` in an order drawn from `key`."""
    return torch.as_tensor(generator(*key).permutation(count))


def take(tensor: torch.Tensor, index: Index) -> torch.Tensor:
    """The rows at `index`, without a copy where it is all of them."""
    return tensor if index is None else tensor.index_select(0, index)


def rows(tensor: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The entries of (episodes, steps, ...) where `mask`, in (episode, step) order, without a copy where it is all."""
    flat = tensor.reshape(mask.numel(), *tensor.shape[2:])
    return flat if bool(mask.all()) else flat.index_select(0, mask.reshape(-1).nonzero().squeeze(1))


def gradient_step(loss: torch.Tensor, optimiser: torch.optim.Adam, max_norm: float | None) -> None:
    """One step of `optimiser` down `loss`, its gradient scaled down to `max_norm` where it is longer."""
    optimiser.zero_grad()
    loss.backward()  # pyright: ignore[reportUnknownMemberType]
    if max_norm is not None:
        torch.nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], max_norm)
    optimiser.step()  # pyright: ignore[reportUnknownMemberType]
