"""The reviewer of provider `embedding`: real weights that know nothing of the rewriter, and cost nothing.

An edit is Not Equal when the embeddings of the two texts are far enough apart or when a fact changed that an embedding
misses. What reads like an answer in the place of an edit gets no verdict, so that nothing is accepted for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from resources.language_models.batched_thread import BatchedThread
from resources.language_models.embedding.calibration import (
    Calibration,
    Measured,
    calibrate,
    calibration_pairs,
    calibration_version,
)
from resources.language_models.embedding.loading import load_embedding_model
from resources.language_models.embedding.wording import changed_facts, reads_like_an_answer, spelt_like
from resources.language_models.local_transformers import weights_digest
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import (
    Completion,
    CompletionError,
    ErrorKind,
    ModelIdentity,
    Outcome,
    Purpose,
    Request,
    Usage,
)

if TYPE_CHECKING:
    import numpy as np

EQUAL, NOT_EQUAL = "Equal", "Not Equal"

AN_ANSWER = "Unclear: the second text reads like an answer to the first, not like an instruction."
"""The reply to what is no edit. No verdict: it is counted, and accepts nothing."""

MAX_BATCH = 32
"""Texts embedded together at most."""

KEPT_EMBEDDINGS = 16_384
"""Embeddings that are kept, the latest ones: 25 MB at 384 dimensions. A text is met again with each edit of it."""


class EmbeddingReviewer:
    """A `LanguageModel` for reviews alone; the weights are loaded, and calibrated, at the first one.

    Reviews that wait together are read together. `weights` and calibration are part of its identity.
    """

    def __init__(self, model_path: str) -> None:
        """`model_path` is a folder or a hub id that sentence-transformers reads."""
        weights = weights_digest(Path(model_path))
        self._identity = ModelIdentity(
            "embedding",
            Path(model_path).name if weights else model_path,
            rules_version=content_hash("embedding reviewer", weights, calibration_version()),
        )
        self._thread = BatchedThread[tuple[Instruction, Instruction]](
            f"sentence-embedding model {model_path}", lambda: EditReader(model_path).review, most=MAX_BATCH
        )

    @property
    def identity(self) -> ModelIdentity:
        """Provider `embedding`, the model's name, and (as rules version) a hash of its weights and calibration."""
        return self._identity

    async def complete(self, request: Request) -> Completion:
        """The verdict on the edit of a review. Raises CompletionError (rejected) for anything but a review."""
        intent = request.intent
        if intent.purpose is not Purpose.REVIEW or intent.after is None:
            raise CompletionError(
                ErrorKind.REJECTED,
                f"a sentence-embedding model reviews and does nothing else, not {intent.purpose.value}",
            )
        return await self._thread.ask((intent.before, intent.after))

    async def close(self) -> None:
        """Finish the batch under way and free the model."""
        self._thread.close()


class EditReader:
    """The loaded model, calibrated on the labelled pairs."""

    calibration: Calibration

    def __init__(self, path: str) -> None:
        """Load the model in `path` and calibrate it: the texts of some 70 pairs are embedded.

        Raises what `load_embedding_model` raises.
        """
        self._model = load_embedding_model(path)
        self._embeddings: dict[str, np.ndarray] = {}
        pairs = calibration_pairs()
        measured = self.measure([(pair.before, pair.after) for pair in pairs])
        self.calibration = calibrate(measured, [pair.label for pair in pairs])

    def review(self, edits: Sequence[tuple[Instruction, Instruction]]) -> list[Completion]:
        """The verdict on each edit, with its probability."""
        return [
            self._reply(edit, self.calibration.probability(measured))
            for edit, measured in zip(edits, self.measure(edits), strict=True)
        ]

    def measure(self, edits: Sequence[tuple[Instruction, Instruction]]) -> list[Measured]:
        """What is known of each edit. A text that was embedded before is not embedded again."""
        texts = [self._texts(*edit) for edit in edits]
        self._embed([text for pair in texts for text in pair])
        found = [
            Measured(
                max(0.0, 1.0 - float(self._embeddings[first] @ self._embeddings[second])),
                bool(changed_facts(before, after)),
            )
            for (first, second), (before, after) in zip(texts, edits, strict=True)
        ]
        self._forget()
        return found

    def _reply(self, edit: tuple[Instruction, Instruction], probability: float) -> Completion:
        usage = Usage(prompt_tokens=sum(map(self._tokens, self._texts(*edit))), completion_tokens=0)
        if reads_like_an_answer(*edit):
            return Completion(AN_ANSWER, "stop", Outcome.USABLE, usage)
        verdict = NOT_EQUAL if probability >= self.calibration.threshold else EQUAL
        probabilities = {EQUAL: 1.0 - probability, NOT_EQUAL: probability}
        return Completion(verdict, "stop", Outcome.USABLE, usage, probabilities=probabilities)

    def _texts(self, before: Instruction, after: Instruction) -> tuple[str, str]:
        """Both with their inputs, and with each other's spelling of misspelt words."""
        first, second = before.text, after.text
        return (
            _joined(spelt_like(first, second, self._knows), before.input),
            _joined(spelt_like(second, first, self._knows), after.input),
        )

    def _embed(self, texts: Sequence[str]) -> None:
        new = sorted(set(texts) - set(self._embeddings))
        vectors = self._model.encode(new, batch_size=MAX_BATCH, normalize_embeddings=True, show_progress_bar=False)
        self._embeddings.update(zip(new, vectors, strict=True))

    def _forget(self) -> None:
        """Let go of the embeddings that were made first."""
        for text in list(self._embeddings)[: max(0, len(self._embeddings) - KEPT_EMBEDDINGS)]:
            del self._embeddings[text]

    def _knows(self, word: str) -> bool:
        return self._tokens(word) == 1

    def _tokens(self, text: str) -> int:
        return len(self._model.tokenizer.tokenize(text))


def _joined(text: str, material: str) -> str:
    return f"{text}\n\n{material}".strip()
