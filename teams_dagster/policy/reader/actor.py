"""A language model that acts as the operation policy, one state at a time."""

from __future__ import annotations

import numpy as np
import torch

from teams_dagster.core.threads import one_thread
from teams_dagster.environment.state import State
from teams_dagster.policy.reader.network import LanguageModelPolicy
from teams_dagster.policy.reader.prompt import PromptReader


class LanguageModelActor:
    """The trained policy's forward pass.

    States are not put together: a product over a batch differs from one over a single state in the last bits, so that
    an operation on the border of a draw would flip with the batch it happened to be in.
    """

    slow = True

    def __init__(self, reader: PromptReader, weights: dict[str, np.ndarray], allowed: np.ndarray) -> None:
        """`weights` as `LanguageModelPolicy.weights` gives them; `allowed` a bool mask of shape (operations,)."""
        self._reader = reader
        self._policy = LanguageModelPolicy(reader, allowed, ("acting",))
        self._policy.load(weights)

    @torch.no_grad()
    def probabilities(self, state: State) -> np.ndarray:
        """pi(. | state), shape (operations,), float64; an operation that is not allowed has exactly 0."""
        prompt = self._reader.prompt(state)
        with one_thread(self._reader.is_small):
            scores = self._policy.scores(torch.tensor([prompt]))
            offsets = torch.from_numpy(self._reader.offsets(prompt))
            return self._policy.normalised(scores - offsets)[0].exp().numpy()
