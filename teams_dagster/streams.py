"""Content hashes and keyed random streams.

Every random draw names what it is for. Nothing depends on the order in which answers arrive, so the same root
seed and the same answers give the same bytes at any concurrency and after a resume.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

ID_LENGTH = 32
"""Hex digits kept of a SHA-256 where it names a thing: 128 bits."""


def content_hash(*parts: Any) -> str:
    """Hash of `parts` as canonical JSON: 32 hex digits, stable across processes and machines.

    Raises TypeError for anything JSON cannot say exactly (NaN included).
    """
    return hashlib.sha256(_CANONICAL.encode(parts).encode("utf-8", "surrogatepass")).hexdigest()[:ID_LENGTH]


_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
"""Kept: `json.dumps` makes a new one for each call."""


def uniform(*key: str | int) -> float:
    """One draw from [0, 1) that belongs to `key` and to nothing else."""
    return int(content_hash(*key)[:13], 16) / 16**13


def generator(*key: str | int) -> np.random.Generator:
    """A NumPy generator that belongs to `key`: for draws of many numbers (shuffles, bootstraps, initial weights)."""
    return np.random.default_rng(int(content_hash(*key), 16))
