"""How many processor threads a student computes with."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from teams_dagster.core.threads import one_thread

SMALL = 10_000_000
"""Parameters of a model too small to keep many threads busy."""


def threads_for(model: Any) -> AbstractContextManager[None]:
    """Computes with one thread when `model` is small and on a CPU; leaves any other as it is.

    On two cores a second thread gains such a model little, and beside another busy process it made scoring ten times
    slower, and pre-training three times.
    """
    return one_thread(when=model.device.type == "cpu" and model.num_parameters() < SMALL)
