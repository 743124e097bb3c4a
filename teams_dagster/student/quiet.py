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
    backend = logging.getLogger("bitsandbytes.backends.cpu.ops")
    if _is_worth_reading not in backend.filters:
        backend.addFilter(_is_worth_reading)


def quieten_transformers() -> None:
    """Silences the bars above and a note on an old name, which is peft's and trl's to change."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_tqdm_hook(_without_bars)
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)


def _without_bars(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return factory(*args, **(kwargs | {"disable": True} if kwargs.get("desc") in BARS else kwargs))


def _is_worth_reading(record: logging.LogRecord) -> bool:
    # An optional faster kernel, fetched from the Hub, that the student could not train through (`keep_differentiable`)
    return "gemm_4bit_forward" not in record.getMessage()
