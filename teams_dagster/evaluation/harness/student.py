"""A loaded student as the harness asks it, and the harness kept off the terminal and off the network."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from huggingface_hub import constants as hub_constants
from lm_eval.api import task as harness_task  # pyright: ignore[reportMissingTypeStubs]
from lm_eval.models.huggingface import HFLM  # pyright: ignore[reportMissingTypeStubs]
from tqdm import tqdm

from teams_dagster.student.loading import Student


@contextmanager
def quiet_harness() -> Generator[None]:
    """Silences the harness's bars and warnings (errors still show), and the hub's usage ping, for the block.

    What its warnings tell that matters is recorded with each score: shots, where they come from, prompts cut off.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    hub_constants.HF_HUB_DISABLE_TELEMETRY = True  # read when the library was imported, perhaps before the line above
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    harness_task.tqdm = partial(tqdm, disable=True)
    try:
        yield
    finally:
        harness_task.tqdm = tqdm
        logger.setLevel(before)


CPU_BATCH = 8
"""Questions at once on a CPU, where more of them gain nothing; on a GPU the harness finds what fits."""
AUTO = "auto"


def batch_size_for(device: str, given: int | None) -> int | str:
    """What the harness is told."""
    return given or (CPU_BATCH if device == "cpu" else AUTO)


if TYPE_CHECKING:
    from lm_eval.api.model import LM  # pyright: ignore[reportMissingTypeStubs]
    from transformers import PreTrainedTokenizerBase

    class _HFLM(LM):
        """What is used of `HFLM`, whose decorator hides from type checkers what it is."""

        batch_size: int | str
        max_length: int
        max_gen_toks: int
        max_batch_size: int

        def __init__(
            self, *, pretrained: object, tokenizer: PreTrainedTokenizerBase, backend: str, batch_size: int | str
        ) -> None: ...
        def _detect_batch_size(self, *request: Any, **options: Any) -> int: ...
        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]: ...
        def _loglikelihood_tokens(self, requests: list[Any], **options: Any) -> list[tuple[float, bool]]: ...
        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]: ...
        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]: ...
        def tok_encode(self, string: str) -> list[int]: ...

else:
    _HFLM = HFLM


class HarnessStudent(_HFLM):
    """The harness's own Hugging Face model around a student that is loaded; draws no bars, counts what it cuts off."""

    def __init__(self, student: Student, *, batch_size: int | str) -> None:
        super().__init__(pretrained=student.model, tokenizer=student.tokenizer, backend="causal", batch_size=batch_size)
        self._found: set[int] = set()
        self.cut_off = 0
        """Questions whose beginning was left out because they exceed the context."""

    @property
    def found_batch_sizes(self) -> list[int]:
        """What automatic detection found, or the size given."""
        return [self.batch_size] if isinstance(self.batch_size, int) else sorted(self._found)

    def _detect_batch_size(self, *request: Any, **options: Any) -> int:
        size = super()._detect_batch_size(*request, **options)
        self._found.add(size)
        return size

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """As the harness does it, without a bar."""
        return super().loglikelihood(requests, disable_tqdm=True)

    def _loglikelihood_tokens(self, requests: list[Any], **options: Any) -> list[tuple[float, bool]]:
        self.cut_off += sum(len(prompt) + len(answer) > self.max_length + 1 for _, prompt, answer in requests)
        return super()._loglikelihood_tokens(requests, **options)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """As the harness does it, without a bar."""
        for request in requests:
            prompt, options = request.args
            room = self.max_length - options.get("max_gen_toks", self.max_gen_toks)
            self.cut_off += len(self.tok_encode(prompt)) > room
        return super().generate_until(requests, disable_tqdm=True)
