"""Content hashes: equal content has the same name everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

ID_LENGTH = 32
"""Hex digits kept of a SHA-256 where it names a thing: 128 bits."""


def content_hash(*parts: Any) -> str:
    """Hash of `parts` as canonical JSON: 32 hex digits, stable across processes and machines.

    Raises TypeError for anything JSON cannot say exactly (NaN included).
    """
    return hashlib.sha256(_CANONICAL.encode(parts).encode("utf-8", "surrogatepass")).hexdigest()[:ID_LENGTH]


def content_hash_of_many(kind: str, parts: Iterable[Any]) -> str:
    """`content_hash(kind, [*parts])`, with one of `parts` in memory at a time. Raises TypeError as that does."""
    digest = hashlib.sha256(f"[{_CANONICAL.encode(kind)},[".encode("utf-8", "surrogatepass"))
    between = b""
    for part in parts:
        digest.update(between + _CANONICAL.encode(part).encode("utf-8", "surrogatepass"))
        between = b","
    digest.update(b"]]")
    return digest.hexdigest()[:ID_LENGTH]


_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
"""Kept: `json.dumps` makes a new one for each call."""
