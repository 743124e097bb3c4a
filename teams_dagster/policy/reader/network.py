"""The policy of a language model (an adapter that learns, log-probabilities of operations' names), and its actor."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint  # pyright: ignore[reportUnknownVariableType]

from teams_dagster.core.rng import generator, torch_seeded
from teams_dagster.core.threads import one_thread
from teams_dagster.environment.state import State
from teams_dagster.policy.network import FORBIDDEN, Network, Weights
from teams_dagster.policy.reader.config import LanguageModelReaderConfig
from teams_dagster.policy.reader.names import NO_TOKEN, check_names
from teams_dagster.policy.reader.prompt import PromptReader

SIDE_BY_SIDE = 16
"""Prompts that are computed together."""


class LanguageModelPolicy(Network):
    """pi(a | s): vectors of a `PromptReader` (..., size) to log-probabilities (..., operations), float64.

    A softmax over log p(name | prompt), each less its offset. Unless a prior is kept, that is the base's own score: the
    policy is then how much likelier the adapter made each name, and an untrained one draws uniformly. The adapter's
    first weights come from the keyed stream `key`.
    """

    def __init__(self, reader: PromptReader, allowed: np.ndarray, key: tuple[str | int, ...]) -> None:
        """`allowed` is a bool mask of shape (operations,): an operation that is not allowed has probability 0.

        Raises ValueError for a base that does not compute several names in one pass as it does each alone.
        """
        super().__init__()
        base = reader.base.copy()
        check_names(base, reader.names, reader.empty)
        self.model, self._reader = _with_adapter(base, reader.config, key), reader
        self._allowed = torch.as_tensor(allowed.copy())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of every operation (softmax over the names of the allowed ones)."""
        vectors, width = inputs.reshape(-1, inputs.shape[-1]), self._reader.width
        offsets = vectors[:, width : width + self._reader.names.count]
        scores = self.scores(vectors[:, :width].long())
        return self.normalised(scores - offsets).reshape(*inputs.shape[:-1], -1)

    def normalised(self, logits: torch.Tensor) -> torch.Tensor:
        """Log-probabilities over the allowed operations."""
        return torch.log_softmax(logits.masked_fill(~self._allowed, FORBIDDEN), dim=-1)

    def scores(self, prompts: torch.Tensor) -> torch.Tensor:
        """log p(name | prompt) of each operation: (prompts, operations)."""
        at_once = self._reader.config.states_at_once
        order = (prompts != NO_TOKEN).sum(1).argsort(stable=True)  # neighbours are as long: little is filled up
        one = self._in_two_passes if len(prompts) > at_once and torch.is_grad_enabled() else self._scores
        scores = [one(prompts[part]) for part in torch.split(order, min(at_once, SIDE_BY_SIDE))]
        return torch.cat(scores)[order.argsort()]

    def _scores(self, prompts: torch.Tensor) -> torch.Tensor:
        return self._reader.names.scores(self.model, prompts)

    def _in_two_passes(self, prompts: torch.Tensor) -> torch.Tensor:
        """The same scores, computed again for the gradients, so that the layers of one part alone are in memory."""
        return cast(torch.Tensor, checkpoint(self._scores, prompts, use_reentrant=False))

    def weights(self) -> Weights:
        return {name: value.detach().cpu().numpy().copy() for name, value in self._learnt().items()}

    def load(self, weights: Weights) -> None:
        learnt = self._learnt()
        if weights.keys() != learnt.keys():
            raise RuntimeError("these weights are of an adapter with other layers: train the policy again")
        with torch.no_grad():
            for name, parameter in learnt.items():
                parameter.copy_(torch.as_tensor(weights[name].copy()))

    def _learnt(self) -> dict[str, nn.Parameter]:
        return {_short(name): value for name, value in self.model.named_parameters() if value.requires_grad}


def _short(name: str) -> str:
    return name.removeprefix("base_model.model.").replace(".default.weight", "")


def _with_adapter(base: Any, config: LanguageModelReaderConfig, key: tuple[str | int, ...]) -> Any:
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch_seeded(int(generator(*key).integers(2**31))):
        return get_peft_model(base, lora).eval()


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
            offsets = torch.as_tensor(self._reader.offsets(prompt))
            return self._policy.normalised(scores - offsets)[0].exp().numpy()
