"""Keeps the training libraries' own lines off the terminal, so that what one sees there is the run's progress.

Only what is named here is silenced; any other warning of these libraries still shows.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

BARS = ("Loading weights", "Writing model shards")
"""Bars over a model's tensors: seconds for a small student, and drawn again at each load."""


def quieten_bitsandbytes() -> None:
    """Silences its note on a faster 4-bit kernel; imports nothing, and doing it again changes nothing."""
    _filter("bitsandbytes.backends.cpu.ops")


def quieten_transformers() -> None:
    """Silences the bars above, a note on how checkpoints are put in order, and one on an old name in peft and trl."""
    from transformers.utils import logging as transformers_logging

    _filter("transformers.trainer_utils")
    transformers_logging.set_tqdm_hook(_without_bars)
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)


def _without_bars(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return factory(*args, **(kwargs | {"disable": True} if kwargs.get("desc") in BARS else kwargs))


def _filter(name: str) -> None:
    logger = logging.getLogger(name)
    if _is_worth_reading not in logger.filters:
        logger.addFilter(_is_worth_reading)


def _is_worth_reading(record: logging.LogRecord) -> bool:
    # An optional faster kernel, fetched from the Hub, that the student could not train through (`keep_differentiable`);
    # and where times of files cannot order checkpoints, their numbers do, just as well
    said = record.getMessage()
    return "gemm_4bit_forward" not in said and "mtime may not be reliable" not in said
