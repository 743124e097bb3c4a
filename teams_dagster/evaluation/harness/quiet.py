"""Keeps the harness off the terminal and off the network for anything but task data."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from huggingface_hub import constants as hub_constants
from lm_eval.api import task as harness_task
from tqdm import tqdm


@contextmanager
def quiet_harness() -> Iterator[None]:
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
