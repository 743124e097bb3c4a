"""A trained policy that acts: NumPy only, one state at a time, so that generation needs no torch.

One state at a time because a matrix product over a batch differs from one over a single row in the last bit, and an
operation that sits on the border of a draw would flip with the batch it happened to be in.
"""

from __future__ import annotations

import numpy as np

from teams_dagster.environment.state import State
from teams_dagster.policy.encoder import Encoder


class PolicyActor:
    """The policy network's forward pass: tanh layers, then a softmax over the allowed operations."""

    def __init__(self, weights: dict[str, np.ndarray], allowed: np.ndarray, encode: Encoder) -> None:
        """`weights` as `PolicyNetwork.weights` gives them; `allowed` a bool mask of shape (operations,)."""
        self._encode = encode
        layers = len(weights) // 2
        self._layers = [(weights[f"{index}.weight"], weights[f"{index}.bias"]) for index in range(layers)]
        self._allowed = allowed

    def probabilities(self, state: State) -> np.ndarray:
        """pi(. | state), shape (operations,)."""
        hidden = self._encode(state)
        for weight, bias in self._layers[:-1]:
            hidden = np.tanh(weight @ hidden + bias)
        weight, bias = self._layers[-1]
        logits = np.where(self._allowed, weight @ hidden + bias, -np.inf)
        odds = np.exp(logits - logits.max())
        return odds / odds.sum()
