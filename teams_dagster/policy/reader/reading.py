"""From a state to the vector that a policy reads: by features, or as the prompt of a language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from teams_dagster.core.instruction import Instruction
from teams_dagster.environment.decisions import Actor
from teams_dagster.environment.state import State
from teams_dagster.policy.encoder import encoder
from teams_dagster.policy.reader.config import STUDENT, LanguageModelReaderConfig

if TYPE_CHECKING:
    from teams_dagster.policy.config import TrainingConfig


class Reader(Protocol):
    """Reads states for a policy, and for the critics beside it."""

    @property
    def size(self) -> int:
        """Columns of a vector."""
        ...

    @property
    def critic_size(self) -> int:
        """The last columns of it, which a critic reads."""
        ...

    @property
    def version(self) -> str:
        """Of all that decides a vector, a language model's weights among it."""
        ...

    @property
    def base_version(self) -> str | None:
        """Of the language model's weights and vocabulary; None where there is none."""
        ...

    @property
    def is_small(self) -> bool:
        """Whether the policy is computed as fast by one thread as by several."""
        ...

    def __call__(self, state: State) -> np.ndarray:
        """The vector of `state`: shape (size,), float64."""
        ...

    def actor(self, weights: dict[str, np.ndarray], allowed: np.ndarray) -> Actor:
        """The policy with these weights, ready to act; `allowed` is a bool mask of shape (operations,)."""
        ...


class BaseUnavailable(ValueError):
    """The language model of a policy cannot be used here; the message says why and what to do."""


class BaseNotGiven(BaseUnavailable):
    """A policy whose language model is the project's student, without the student."""

    def __init__(self) -> None:
        super().__init__(
            f"the policy's `base` is `{STUDENT}`, and that is not there yet: materialise `base_model` first, by itself,"
            " since a job trains the policy before it makes the students; or name a folder or a hub id"
        )


def reader(config: TrainingConfig, donors: Sequence[Instruction] = (), base: str | None = None) -> Reader:
    """Who reads in a training by `config`; an embedding or a language model is loaded here.

    `donors` are the training seeds, which an ablation needs. `base` is where the student lies, where the reader's base
    is that. Raises EmbeddingUnavailable, BaseUnavailable or BaseNotGiven when a model cannot be loaded.
    """
    features = encoder(config.features, donors)
    if not isinstance(config.reader, LanguageModelReaderConfig):
        return features
    path = base if config.reader.base == STUDENT else config.reader.base
    if path is None:
        raise BaseNotGiven
    from teams_dagster.policy.reader.base import language_model_base
    from teams_dagster.policy.reader.prompt import PromptReader

    return PromptReader(config.reader, language_model_base(path), features)
