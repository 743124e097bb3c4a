"""Random streams that belong to a key.

Every random draw names what it is for. Nothing depends on the order in which answers arrive, so the same root
seed and the same answers give the same bytes at any concurrency and after a resume.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import numpy as np

from teams_dagster.core.hashing import content_hash


def uniform(*key: str | int) -> float:
    """One draw from [0, 1) that belongs to `key` and to nothing else."""
    return int(content_hash(*key)[:13], 16) / 16**13


def generator(*key: str | int) -> np.random.Generator:
    """A NumPy generator that belongs to `key`: for draws of many numbers (shuffles, bootstraps, initial weights)."""
    return np.random.default_rng(int(content_hash(*key), 16))


@contextmanager
def torch_seeded(seed: int) -> Generator[None]:
    """What torch draws on a processor inside the block begins at `seed`; after it, as if nothing had been drawn."""
    import torch

    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
        yield
