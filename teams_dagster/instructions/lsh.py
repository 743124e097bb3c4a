"""Locality-sensitive hashing of MinHash signatures in arrays: 12 to 24 bytes a member and band.

`datasketch.MinHashLSH` keeps each bucket as a Python set under a key of bytes, some 400 bytes a member and band: a
million instructions in 32 bands would take 12 GB. Here the members of a bucket are chained: an array holds the last
member of each slot, and another the member before each. Members whose bands collide by accident in 32 bits are
candidates, too; whoever asks compares them exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FIRST_SLOTS = 1 << 10
_NOBODY = -1

Bands = NDArray[np.uint32]
"""One hash a band."""


class BandedLSH:
    """Members, numbered in the order they were added, by the bands of their signatures."""

    def __init__(self, bands: int, rows: int) -> None:
        """`rows` hash values of a signature make a band; a signature has at least `bands` x `rows`."""
        self._rows, self._each = rows, np.arange(bands)
        mixers = np.random.default_rng(1).integers(1 << 63, size=rows, dtype=np.uint64)
        self._mixers = mixers * np.uint64(2) + np.uint64(1)
        self._members = 0
        self._read: tuple[NDArray[np.uint32], Bands] | None = None
        self._hashes: NDArray[np.uint32] = np.empty((0, bands), np.uint32)
        self._before: NDArray[np.int32] = np.empty((0, bands), np.int32)
        self._last: NDArray[np.int32] = np.empty((0, bands), np.int32)
        self._grow()

    def __len__(self) -> int:
        return self._members

    def candidates(self, signature: NDArray[np.uint32]) -> list[int]:
        """The members that share a band with `signature`, in the order they were added."""
        bands = self._bands(signature)
        at = self._last[self._slots(bands), self._each]
        found: set[int] = set()
        while (chained := np.flatnonzero(at != _NOBODY)).size:
            members = at[chained]
            found.update(members[self._hashes[members, chained] == bands[chained]].tolist())
            at[chained] = self._before[members, chained]
        return sorted(found)

    def add(self, signature: NDArray[np.uint32]) -> None:
        """Make the next member of `signature`."""
        if self._members == len(self._last):
            self._grow()
        bands = self._bands(signature)
        slots = self._slots(bands)
        self._hashes[self._members] = bands
        self._before[self._members] = self._last[slots, self._each]
        self._last[slots, self._each] = self._members
        self._members += 1

    def _bands(self, signature: NDArray[np.uint32]) -> Bands:
        """The upper half of a sum of products modulo 2 to the 64, which odd factors spread over all its values."""
        if self._read is not None and self._read[0] is signature:  # what is looked up is most often added next
            return self._read[1]
        values = signature[: len(self._each) * self._rows].astype(np.uint64).reshape(len(self._each), self._rows)
        bands = ((values * self._mixers).sum(axis=1, dtype=np.uint64) >> np.uint64(32)).astype(np.uint32)
        self._read = signature, bands
        return bands

    def _slots(self, bands: Bands) -> NDArray[np.uint32]:
        return bands & np.uint32(len(self._last) - 1)

    def _grow(self) -> None:
        """Room for twice as many members, with every chain made again in the same order."""
        slots = max(_FIRST_SLOTS, 2 * len(self._last))
        bands = len(self._each)
        kept = self._hashes[: self._members]
        self._hashes, self._before = np.empty((slots, bands), np.uint32), np.empty((slots, bands), np.int32)
        self._last = np.full((slots, bands), _NOBODY, np.int32)
        self._hashes[: self._members] = kept
        for band in range(bands):
            of = kept[:, band] & np.uint32(slots - 1)
            order = np.argsort(of, kind="stable").astype(np.int32)
            begins = np.ones(len(order), bool)
            begins[1:] = of[order][1:] != of[order][:-1]
            before = np.full(len(order), _NOBODY, np.int32)
            before[1:] = order[:-1]
            before[begins] = _NOBODY
            self._before[order, band] = before
            self._last[of[order], band] = order  # of several, the last one stays
