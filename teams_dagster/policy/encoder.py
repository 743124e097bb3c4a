"""From a state to the vector that a policy reads, with the ablations that show what of it matters.

- `text_blind`: the text's features are shuffled: every text shows those of another one, drawn by its hash from the
  training seeds. The policy is trained alike, on as many numbers of the same kind, that say nothing about the text.
- `no_history`: what was tried in the episode is hidden; the text and the step are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.environment.state import State
from teams_dagster.policy.features import (
    CUE_SIZE,
    FEATURE_VERSION,
    GROWTH_SIZE,
    HISTORY_SIZE,
    LEXICAL_SIZE,
    PROGRESS_SIZE,
    cues,
    growth,
    history,
    progress,
    words,
)

Ablation = Literal["full", "text_blind", "no_history"]


class FeatureConfig(BaseModel):
    """What a policy reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedding_model: str = Field(
        default="",
        description="Folder or hub id of a sentence-transformers model that takes the place of the hashed words; empty:"
        " hashed words.",
    )
    ablation: Ablation = Field(default="full", description="What is hidden, to show what it was worth.")


class Meaning(Protocol):
    """Says in numbers what a text is about."""

    size: int
    version: str

    def __call__(self, instruction: Instruction) -> np.ndarray:
        """Shape (size,), float64."""
        ...


class HashedWords:
    """What a text is about, by its words."""

    size = LEXICAL_SIZE
    version = FEATURE_VERSION

    def __call__(self, instruction: Instruction) -> np.ndarray:
        """Hashed words and pairs of words."""
        return words(instruction)


class Encoder:
    """States to vectors: meaning, cues, growth, history, progress, in this order."""

    def __init__(self, config: FeatureConfig, meaning: Meaning, donors: Sequence[Instruction] = ()) -> None:
        """`donors` are the training seeds, which `text_blind` needs. Raises ValueError when it has none."""
        if config.ablation == "text_blind" and not donors:
            raise ValueError("text_blind shows every text the features of another one: give it the training seeds")
        self._meaning = meaning
        self._ablation = config.ablation
        self._donors = sorted(donors, key=lambda donor: donor.instruction_id) if self._ablation == "text_blind" else []
        self.size = meaning.size + CUE_SIZE + GROWTH_SIZE + HISTORY_SIZE + PROGRESS_SIZE
        self.version = content_hash(
            "encoder",
            FEATURE_VERSION,
            meaning.version,
            config.ablation,
            [donor.instruction_id for donor in self._donors],
        )

    def __call__(self, state: State) -> np.ndarray:
        """The feature vector of `state`: shape (size,), float64."""
        shown, grown = state.instruction, growth(state)
        if self._donors:
            shown, grown = self._donors[int(shown.instruction_id, 16) % len(self._donors)], np.zeros(GROWTH_SIZE)
        past = np.zeros(HISTORY_SIZE) if self._ablation == "no_history" else history(state)
        return np.concatenate([self._meaning(shown), cues(shown), grown, past, progress(state)])


def encoder(config: FeatureConfig, donors: Sequence[Instruction] = ()) -> Encoder:
    """The encoder that `config` names; a sentence-embedding model is loaded here.

    Raises EmbeddingUnavailable when it cannot be.
    """
    if not config.embedding_model:
        return Encoder(config, HashedWords(), donors)
    from teams_dagster.policy.embedding import sentence_embedding

    return Encoder(config, sentence_embedding(config.embedding_model), donors)
