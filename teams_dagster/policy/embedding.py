"""What a text is about, by a sentence-embedding model (sentence-transformers)."""

from __future__ import annotations

import hashlib
from functools import cache, lru_cache

import numpy as np

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction


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
        vector = self._model.encode(text, normalize_embeddings=True, show_progress_bar=False).astype(np.float64)
        vector.flags.writeable = False
        return vector


@cache
def sentence_embedding(model: str) -> SentenceEmbedding:
    """The model in the folder or of the hub id `model`, loaded once a process. Raises EmbeddingUnavailable."""
    return SentenceEmbedding(model)
