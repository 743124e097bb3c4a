"""MinHash signatures of instructions, and the files that keep them.

A signature depends on an instruction's text and input alone, so it is computed once and stored under the id of the
instruction, which is a hash of both: a text that is no longer what it was is not found, and computed again.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from teams_dagster.core.files import replacing
from teams_dagster.core.hashing import ID_LENGTH, content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.ngrams import compared_words

SHINGLE_WORDS = 3

PERMUTATIONS = 128

REMEMBERED = 4_096
"""Signatures that a process remembers, about 6 MB: one that is looked up is added next, and a generation with a target
is curated after each of its rounds."""

_ROWS_AT_ONCE = 10_000

_ROW = np.dtype([("instruction_id", f"S{ID_LENGTH}"), ("signature", "<u4", (PERMUTATIONS,))])

_PROBE = Instruction(
    "It's  ＦＵＬＬ-width; snake_case, 3.5! 写一首abc诗 एक और जोड़ो อีกหนึ่งข้อ 👍🏽 ☀️ १,००० كِتَابٌ é\u0301",
    "one two three\nfour",
)


class Signature(Protocol):
    """A MinHash of datasketch, which ships no types."""

    hashvalues: NDArray[np.uint32]

    def copy(self) -> Signature:
        """Another one of the same shingles."""
        ...

    def update_batch(self, b: Iterable[bytes], /) -> None:
        """Take more shingles in."""
        ...


def part_shingles(tag: str, text: str) -> frozenset[tuple[str, ...]]:
    """The 3-word shingles of a part, told apart from those of other parts by `tag`; a shorter text is one shingle."""
    found = compared_words(text)
    if not found:
        return frozenset()
    last = max(1, len(found) - SHINGLE_WORDS + 1)
    return frozenset((tag, *found[at : at + SHINGLE_WORDS]) for at in range(last))


def shingles(instruction: Instruction) -> frozenset[tuple[str, ...]]:
    """The shingles of text and input."""
    return part_shingles("text", instruction.text) | part_shingles("input", instruction.input)


@lru_cache(maxsize=REMEMBERED)
def signature(instruction: Instruction) -> Signature:
    """The MinHash of an instruction's shingles: the same on every machine."""
    computed = _no_shingles().copy()
    computed.update_batch(" ".join(shingle).encode("utf-8", "surrogatepass") for shingle in shingles(instruction))
    return computed


@lru_cache(maxsize=1)  # drawing the permutations costs more than using them
def _no_shingles() -> Signature:
    from datasketch import MinHash  # pyright: ignore[reportMissingTypeStubs]

    return MinHash(num_perm=PERMUTATIONS, seed=1, scheme="affine32")


@lru_cache(maxsize=1)
def signatures_version() -> str:
    """Version of how signatures are computed: what a text with every trait that matters has for its own."""
    return content_hash("signatures", signature(_PROBE).hashvalues.tolist())


class SignaturesDamaged(ValueError):
    """A file of signatures that was cut or holds something else."""


class StoredSignatures:
    """Signatures that were computed before, read from their files as they are looked up.

    Memory holds 40 bytes an instruction, not its signature of 512.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        """Raises SignaturesDamaged naming the file."""
        self._tables = [_Table(file) for file in files]
        ids = [table.ids() for table in self._tables]
        self._starts = np.cumsum([0, *map(len, ids)])
        joined = np.concatenate([np.empty(0, _ROW["instruction_id"]), *ids])
        self._order = np.argsort(joined, kind="stable")
        self._ids = joined[self._order]

    def of(self, instruction: Instruction) -> NDArray[np.uint32]:
        """The signature of an instruction: the stored one, or computed now where none is."""
        wanted = np.bytes_(instruction.instruction_id.encode())
        at = int(np.searchsorted(self._ids, wanted))
        if at == len(self._ids) or self._ids[at] != wanted:
            return signature(instruction).hashvalues
        row = int(self._order[at])
        table = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._tables[table].signature(row - int(self._starts[table]))


class _Table:
    """A file of signatures. It is read, not mapped: pages that are mapped stay in memory while there is room."""

    def __init__(self, file: Path) -> None:
        """Raises SignaturesDamaged."""
        mapped = _load(file)
        self._rows, self._first = len(mapped), mapped.offset if isinstance(mapped, np.memmap) else 0
        self._file = file.open("rb")
        weakref.finalize(self, self._file.close)

    def ids(self) -> np.ndarray:
        found = np.empty(self._rows, _ROW["instruction_id"])
        self._file.seek(self._first)
        for start in range(0, self._rows, _ROWS_AT_ONCE):
            part = np.fromfile(self._file, _ROW, min(_ROWS_AT_ONCE, self._rows - start))
            found[start : start + len(part)] = part["instruction_id"]
        return found

    def signature(self, row: int) -> NDArray[np.uint32]:
        self._file.seek(self._first + row * _ROW.itemsize)
        return np.frombuffer(self._file.read(_ROW.itemsize), _ROW)["signature"][0]


def _load(file: Path) -> np.ndarray:
    try:
        table = np.load(file, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise SignaturesDamaged(f"{file} is damaged ({error}): remove it, and it is computed again") from error
    if table.dtype != _ROW:
        raise SignaturesDamaged(f"{file} holds no signatures: remove it, and they are computed again")
    return table


def store_signatures(path: Path, instructions: Callable[[], Iterable[Instruction]]) -> None:
    """Write the signatures of `instructions`, each once, to `path`: whole or not at all.

    `instructions` is called twice and must give the same both times. Memory holds the ids.
    """
    ids = np.unique(np.fromiter(_ids(instructions()), _ROW["instruction_id"]))
    with replacing(path) as draft:
        _write(draft, ids, instructions())


def _ids(instructions: Iterable[Instruction]) -> Iterator[bytes]:
    return (instruction.instruction_id.encode() for instruction in instructions)


def _write(draft: Path, ids: np.ndarray, instructions: Iterable[Instruction]) -> None:
    if not len(ids):  # nothing can be mapped into memory
        with draft.open("wb") as file:
            np.save(file, np.empty(0, _ROW))
        return
    table = np.lib.format.open_memmap(draft, mode="w+", dtype=_ROW, shape=(len(ids),))
    first = table.offset
    del table  # rows are written, not mapped: pages that are mapped stay in memory while there is room
    written = np.zeros(len(ids), bool)
    with draft.open("r+b") as file:
        for instruction in instructions:
            at = int(np.searchsorted(ids, np.bytes_(instruction.instruction_id.encode())))
            if not written[at]:
                file.seek(first + at * _ROW.itemsize)
                file.write(np.array((ids[at], signature(instruction).hashvalues), _ROW).tobytes())
                written[at] = True
