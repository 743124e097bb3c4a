"""How many processor threads a model computes with."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def one_thread(when: bool) -> Generator[None]:
    """Torch computes with one thread if `when`; otherwise with as many as before.

    For small models: their products are so short that threads mostly wait for each other, and one thread gives the
    same bits on machines with other numbers of cores. And for what memory bounds, however large it is.
    """
    import torch

    before = torch.get_num_threads()
    if when:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
