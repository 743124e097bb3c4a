"""The language model that a policy reads with, before its adapter: loaded once a process, its weights shared."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from teams_dagster.core.hashing import content_hash
from teams_dagster.policy.reader.reading import BaseUnavailable

SMALL = 10_000_000
"""Parameters of a model whose products are too short to keep a second thread busy."""


class LanguageModelBase:
    """A frozen causal language model with its tokenizer."""

    def __init__(self, path: str) -> None:
        """`path` is a folder or a hub id. Raises BaseUnavailable."""
        place = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            with _without_bars():
                self.tokenizer = cast(Any, AutoTokenizer).from_pretrained(path)
                model = cast(Any, AutoModelForCausalLM).from_pretrained(path, dtype=torch.float32, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise BaseUnavailable(
                f"the policy's language model {path!r} cannot be loaded ({error}): give `base` a folder or a hub id"
                " that transformers reads as a causal language model"
            ) from error
        self.model: Any = model.to(place).requires_grad_(False).eval()
        self.version = content_hash("policy base", _digest(self.model, self.tokenizer))
        """Hash of every weight and of the vocabulary."""

    @property
    def is_small(self) -> bool:
        """Whether one thread computes it as fast as several, on a CPU."""
        return self.model.device.type == "cpu" and self.model.num_parameters() < SMALL

    def copy(self) -> Any:
        """The model to put an adapter in: modules of its own on the same weights, which take no memory again."""
        shared = chain(self.model.parameters(), self.model.buffers())
        return copy.deepcopy(self.model, {id(tensor): tensor for tensor in shared})

    def tokens(self, text: str) -> tuple[int, ...]:
        """`text` as tokens, none of them special."""
        encodable = text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate is no text to a tokenizer
        return tuple(self.tokenizer(encodable, add_special_tokens=False, split_special_tokens=True)["input_ids"])

    @property
    def begins(self) -> tuple[int, ...]:
        """The token that begins every text of this model, if one does."""
        begin = self.tokenizer.bos_token_id
        return tuple(token for token in self.tokenizer("")["input_ids"][:1] if token == begin)


@cache
def language_model_base(path: str) -> LanguageModelBase:
    """The model in the folder or of the hub id `path`, loaded once a process. Raises BaseUnavailable."""
    return LanguageModelBase(path)


@contextmanager
def _without_bars() -> Generator[None]:
    """No progress of a load that takes a moment; others show theirs still."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _digest(model: Any, tokenizer: Any) -> str:
    digest = hashlib.sha256(f"{sorted(tokenizer.get_vocab().items())}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
