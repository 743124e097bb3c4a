"""From a state to the vector that a policy reads, and a trained policy that acts on it.

Texts are read by hashed words or by a sentence-embedding model. Ablations show what of the vector matters:

- `text_zeroed`: all features of the text are zero.
- `text_noise`: every state shows the features of a training seed's text, drawn anew: as many numbers of the same kind,
  that say nothing about the text. Drawn once for each text instead, they could be learnt by heart on the training
  seeds, and would mislead on others: a handicap, not a blindfold.
- `no_history`: what was tried in the episode is hidden; the text and the step are not.

Acting takes NumPy alone, so that generation needs no torch, and one state at a time: a matrix product over a batch
differs from one over a single row in the last bit, and an operation that sits on the border of a draw would flip with
the batch it happened to be in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Literal, Protocol, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.rng import uniform
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


class EmbeddingUnavailable(RuntimeError):
    """The sentence-embedding model cannot be used here; the message says why and what to do."""


class SentenceEmbedding:
    """A `Meaning`: one text at a time, on the CPU, so that a vector does not depend on the batch it was made in."""

    def __init__(self, model: str) -> None:
        """`model` is a folder or a hub id. Raises EmbeddingUnavailable."""
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise EmbeddingUnavailable(
                f"the embedding model {model!r} needs sentence-transformers: pip install '.[embedding]'"
                " -c constraints.txt"
            ) from error
        try:
            dtype = {"dtype": "float32"}  # as stored, some are in half precision, which NumPy cannot read
            self._model = SentenceTransformer(model, device="cpu", model_kwargs=dtype).eval()
        except (OSError, ValueError) as error:
            raise EmbeddingUnavailable(
                f"the embedding model {model!r} cannot be loaded ({error}): give a folder or a hub id that"
                " sentence-transformers reads"
            ) from error
        digest = hashlib.sha256(f"{self._model}{sorted(self._model.tokenizer.get_vocab().items())}".encode())
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        self.size = int(self._model.get_embedding_dimension() or 0)
        self.version = content_hash("embedding", self.size, digest.hexdigest())
        self._remembered = lru_cache(maxsize=8_192)(self._embed)

    def __call__(self, instruction: Instruction) -> np.ndarray:
        """The embedding of text and input together, length 1: shape (size,), float64, read-only."""
        return self._remembered(instruction)

    def _embed(self, instruction: Instruction) -> np.ndarray:
        text = f"{instruction.text}\n\n{instruction.input}".strip()
        encode = cast(Callable[..., np.ndarray], self._model.encode)  # pyright: ignore[reportUnknownMemberType]
        vector = encode(text, normalize_embeddings=True, show_progress_bar=False).astype(np.float64)
        vector.flags.writeable = False
        return vector


@cache
def sentence_embedding(model: str) -> SentenceEmbedding:
    """The model in the folder or of the hub id `model`, loaded once a process. Raises EmbeddingUnavailable."""
    return SentenceEmbedding(model)


Ablation = Literal["full", "text_zeroed", "text_noise", "no_history"]


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

    base_version, is_small = None, True

    def __init__(self, config: FeatureConfig, meaning: Meaning, donors: Sequence[Instruction] = ()) -> None:
        """`donors` are the training seeds, which `text_noise` needs. Raises ValueError when it has none."""
        if config.ablation == "text_noise" and not donors:
            raise ValueError("text_noise shows every state the features of another text: give it the training seeds")
        self._meaning = meaning
        self._ablation = config.ablation
        self._donors = sorted(donors, key=lambda donor: donor.instruction_id) if self._ablation == "text_noise" else []
        self.size = self.critic_size = meaning.size + CUE_SIZE + GROWTH_SIZE + HISTORY_SIZE + PROGRESS_SIZE
        self.version = content_hash(
            "encoder",
            FEATURE_VERSION,
            meaning.version,
            config.ablation,
            [donor.instruction_id for donor in self._donors],
        )

    def __call__(self, state: State) -> np.ndarray:
        """The feature vector of `state`: shape (size,), float64."""
        past = history(state) if self.sees_history else np.zeros(HISTORY_SIZE)
        return np.concatenate([*self._text(state), past, progress(state)])

    @property
    def sees_history(self) -> bool:
        """Whether what was tried in the episode is shown."""
        return self._ablation != "no_history"

    def shown(self, state: State) -> Instruction | None:
        """The text that is read in `state`: its own, that of a training seed, or None."""
        if self._ablation == "text_zeroed":
            return None
        if self._donors:
            drawn = uniform("text_noise", state.stream, state.step, len(state.chain))
            return self._donors[int(drawn * len(self._donors))]
        return state.instruction

    def actor(self, weights: dict[str, np.ndarray], allowed: np.ndarray) -> PolicyActor:
        """The policy with these weights, as `PolicyNetwork.weights` gives them, ready to act."""
        return PolicyActor(weights, allowed, self)

    def _text(self, state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Meaning, cues and growth, or what stands in their place."""
        shown = self.shown(state)
        if shown is None:
            return np.zeros(self._meaning.size), np.zeros(CUE_SIZE), np.zeros(GROWTH_SIZE)
        return self._meaning(shown), cues(shown), np.zeros(GROWTH_SIZE) if self._donors else growth(state)


def encoder(config: FeatureConfig, donors: Sequence[Instruction] = ()) -> Encoder:
    """The encoder that `config` names; a sentence-embedding model is loaded here.

    Raises EmbeddingUnavailable when it cannot be.
    """
    if not config.embedding_model:
        return Encoder(config, HashedWords(), donors)

    return Encoder(config, sentence_embedding(config.embedding_model), donors)


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
