"""How many processor threads a policy computes with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def few_threads(small: bool) -> Iterator[None]:
    """One thread where the model is small: the same bits on machines with other numbers of cores, and faster."""
    before = torch.get_num_threads()
    if small:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
