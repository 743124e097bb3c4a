"""How many processor threads a student computes with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

SMALL = 10_000_000
"""Parameters of a model too small to keep many threads busy."""


@contextmanager
def threads_for(model: Any) -> Iterator[None]:
    """Computes with one thread when `model` is small and on a CPU; leaves any other as it is.

    The products of a small model are so short that its threads mostly wait for each other: on two cores a second
    thread gains little, and beside another busy process it made scoring ten times slower, and pre-training three times.
    """
    before = torch.get_num_threads()
    if model.device.type == "cpu" and model.num_parameters() < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
