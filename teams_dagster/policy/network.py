"""The policy and value networks: small MLPs in float64, and an actor that runs the policy one state at a time.

`PolicyNetwork` and `ValueNetwork` learn (torch); `PolicyActor` in `encoder` acts (NumPy, no torch).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import nn

from teams_dagster.core.rng import generator

FORBIDDEN = -1e30
"""Logit of a masked operation: its probability is exactly 0 and its log-probability finite, so that 0 x log 0 = 0."""

Weights = dict[str, np.ndarray]
"""Layer weights by name: `0.weight` (out, in), `0.bias` (out,), `1.weight`, ..."""


class Network(nn.Module, ABC):
    """What an update moves, and keeps as arrays."""

    @abstractmethod
    def weights(self) -> Weights:
        """A copy of the weights that are learnt."""

    @abstractmethod
    def load(self, weights: Weights) -> None:
        """Take over `weights`. Raises RuntimeError when their names or shapes are another network's."""


class _MLP(Network):
    """Tanh layers and a linear head whose weights start small, so that the first outputs are near 0.

    Weights come from the keyed stream `key`, never from torch's global generator.
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...], outputs: int, key: tuple[str | int, ...]) -> None:
        super().__init__()
        sizes = (inputs, *hidden, outputs)
        stream = generator(*key)
        self.layers = nn.ModuleList()
        for index, (size_in, size_out) in enumerate(pairwise(sizes)):
            layer = nn.Linear(size_in, size_out, device="meta", dtype=torch.float64).to_empty(device="cpu")
            scale = (0.01 if index == len(hidden) else 1.0) / math.sqrt(size_in)
            with torch.no_grad():
                layer.weight.copy_(torch.as_tensor(stream.normal(0.0, scale, size=(size_out, size_in))))
                layer.bias.zero_()
            self.layers.append(layer)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Shape (..., inputs) to (..., outputs)."""
        columns = inputs.reshape(-1, inputs.shape[-1]).T  # W X^T takes half the time of X W^T where rows are many
        *hidden, head = cast(Iterable[nn.Linear], self.layers)
        for layer in hidden:
            columns = torch.tanh(torch.addmm(layer.bias.unsqueeze(1), layer.weight, columns))
        return torch.addmm(head.bias.unsqueeze(1), head.weight, columns).T.reshape(*inputs.shape[:-1], -1)

    def weights(self) -> Weights:
        return {name.removeprefix("layers."): value.numpy().copy() for name, value in self.state_dict().items()}

    def load(self, weights: Weights) -> None:
        self.load_state_dict({f"layers.{name}": torch.as_tensor(value.copy()) for name, value in weights.items()})


class PolicyNetwork(_MLP):
    """pi(a | s): features (..., features) to log-probabilities (..., operations)."""

    def __init__(self, features: int, hidden: tuple[int, ...], allowed: np.ndarray, key: tuple[str | int, ...]) -> None:
        """`allowed` is a bool mask of shape (operations,): an operation that is not allowed has probability 0."""
        super().__init__(features, hidden, len(allowed), key)
        self.allowed = torch.as_tensor(allowed.copy())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of every operation (categorical softmax)."""
        return torch.log_softmax(super().forward(inputs).masked_fill(~self.allowed, FORBIDDEN), dim=-1)


class ValueNetwork(_MLP):
    """V(s): vectors (..., size) to values (...). It reads their last `features` columns: all, but beside a prompt."""

    def __init__(self, features: int, hidden: tuple[int, ...], key: tuple[str | int, ...]) -> None:
        super().__init__(features, hidden, 1, key)
        self._features = features

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Expected discounted return of each state."""
        return super().forward(inputs[..., -self._features :]).squeeze(-1)
