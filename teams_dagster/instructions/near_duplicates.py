"""Which instructions are nearly the same: MinHash to find candidates, exact measures to decide.

Candidates come from locality-sensitive hashing of 3-word shingles (Broder 1997; signatures by `datasketch`): with b
bands of r rows a pair of Jaccard similarity s is missed with probability (1 - s^r)^b, so 0.0002 for a pair at
`CLUSTER_JACCARD` and 0.00005 for one at `DUPLICATE_JACCARD`. Every candidate is then compared exactly: nothing is
called near by accident.
The hashes are fixed, so the same texts in the same order give the same pairs on every machine.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from teams_dagster.core.disk_rows import DiskRows
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.text import folded
from teams_dagster.core.words import word_count
from teams_dagster.instructions.lsh import BandedLSH
from teams_dagster.instructions.ngrams import compared_words
from teams_dagster.instructions.signatures import (
    StoredSignatures,
    part_shingles,
    shingles,
    signature,
)

CLUSTER_JACCARD = 0.7
"""Seeds at least this alike, text and input taken together, stay on one side of a split."""

DUPLICATE_JACCARD = 0.8
"""Samples at least this alike, text and input each, can be near duplicates."""

DUPLICATE_WORDS = 8
"""And fewer than so many words differ. Edits ask for 10 to 20 words, so an honest child of a long parent, whose
Jaccard similarity with it is above any useful threshold, is never taken for a duplicate."""


def same_text_key(instruction: Instruction) -> str:
    """Equal for instructions that differ in case and white space only, or in how an accent is composed.

    A hash: whoever remembers the keys of a million instructions does not hold their texts a second time.
    """
    return content_hash(folded(instruction.text), folded(instruction.input))


def same_cluster(a: Instruction, b: Instruction) -> bool:
    """Whether two seeds belong together: `CLUSTER_JACCARD` on the shingles of text and input together."""
    return _jaccard(shingles(a), shingles(b)) >= CLUSTER_JACCARD


def near_duplicate(a: Instruction, b: Instruction) -> bool:
    """Whether two instructions are too alike to keep both. Near duplicates are always of the `same_cluster`.

    Texts and inputs must be alike separately, so that two tasks on one long input, or one task on two inputs, stay.
    """
    return (
        _changed_words(a, b) < DUPLICATE_WORDS
        and _jaccard(part_shingles("text", a.text), part_shingles("text", b.text)) >= DUPLICATE_JACCARD
        and _jaccard(part_shingles("input", a.input), part_shingles("input", b.input)) >= DUPLICATE_JACCARD
    )


def _changed_words(a: Instruction, b: Instruction) -> float:
    """Words to add to and to take from `a` to have those of `b`, as bags, texts and inputs apart."""
    changed = 0.0
    for one, other in ((a.text, b.text), (a.input, b.input)):
        mine, theirs = Counter(compared_words(one)), Counter(compared_words(other))
        changed += word_count(((mine - theirs) + (theirs - mine)).elements())
    return changed


def _jaccard(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    union = len(a | b)
    return len(a & b) / union if union else 1.0


class NearIndex:
    """Instructions seen so far, to ask which of them a new one is near to. Their texts lie on disk."""

    def __init__(
        self,
        near: Callable[[Instruction, Instruction], bool],
        *,
        bands: int,
        rows: int,
        stored: StoredSignatures | None = None,
    ) -> None:
        self._near, self._stored = near, stored
        self._signed: tuple[Instruction, NDArray[np.uint32]] | None = None
        self._lsh = BandedLSH(bands, rows)
        self._members = DiskRows(3)

    def matches(self, instruction: Instruction) -> list[str]:
        """The keys of the members near to `instruction`, in the order they were added."""
        candidates = map(self._member, self._lsh.candidates(self._sign(instruction)))
        return [key for key, member in candidates if self._near(member, instruction)]

    def add(self, key: str, instruction: Instruction) -> None:
        """Make `instruction` a member under `key`."""
        self._lsh.add(self._sign(instruction))
        self._members.append((key, instruction.text, instruction.input))

    def _sign(self, instruction: Instruction) -> NDArray[np.uint32]:
        """Its signature, remembered: what is looked up is most often added next."""
        if self._signed is None or self._signed[0] is not instruction:
            stored = self._stored
            found = signature(instruction).hashvalues if stored is None else stored.of(instruction)
            self._signed = instruction, found
        return self._signed[1]

    def _member(self, number: int) -> tuple[str, Instruction]:
        key, text, material = map(str, self._members[number])
        return key, Instruction(text, material)


def cluster_index(stored: StoredSignatures | None = None) -> NearIndex:
    """An index that finds instructions of the `same_cluster`; signatures that are `stored` are not computed again."""
    return NearIndex(same_cluster, bands=32, rows=4, stored=stored)


def clusters(instructions: Iterable[Instruction], stored: StoredSignatures | None = None) -> NDArray[np.int64]:
    """By place, the place of the first instruction that a chain of `same_cluster` pairs joins it to: its own at most.

    `stored` signatures are not computed again.
    """
    index, leader = cluster_index(stored), array("q")

    def first(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    for place, instruction in enumerate(instructions):
        leader.append(place)
        for match in map(int, index.matches(instruction)):
            earlier, later = sorted((first(match), first(place)))
            leader[later] = earlier
        index.add(str(place), instruction)
    return np.fromiter(map(first, range(len(leader))), np.int64, len(leader))


def cluster_keys(instructions: Iterable[tuple[str, Instruction]]) -> dict[str, str]:
    """Key to the key that its cluster goes by: the first of all that a chain of `same_cluster` pairs joins.

    A key that was met before is passed over.
    """
    known: dict[str, Instruction] = {}
    for key, instruction in instructions:
        known.setdefault(key, instruction)
    keys = list(known)
    return {key: keys[leader] for key, leader in zip(keys, clusters(known.values()), strict=True)}


def duplicate_index(stored: StoredSignatures | None = None) -> NearIndex:
    """An index that finds each `near_duplicate`; signatures that are `stored` are not computed again."""
    return NearIndex(near_duplicate, bands=25, rows=5, stored=stored)
