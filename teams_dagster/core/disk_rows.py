"""Rows of texts that lie on disk, for work on more of them than memory holds.

They are in an unnamed SQLite database, which no other process sees and which is gone with this one; it lies in the
folder that `TMPDIR` names, or in /var/tmp.
"""

from __future__ import annotations

import sqlite3
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_PAGE_BYTES = 16_384
_CACHE_KIB = 32_768


class Rows(Protocol[T_co]):
    """Rows that can be counted, read in their order as often as wanted, and read one by one: a list is such."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[T_co]: ...

    def __getitem__(self, place: int, /) -> T_co: ...


class DiskRows:
    """Rows of so many `columns`, each a text of any characters or None. Memory holds some 32 MB of them at most."""

    def __init__(self, columns: int) -> None:
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._file.close)
        self._file.execute(f"PRAGMA page_size={_PAGE_BYTES}")
        self._file.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        self._file.execute("PRAGMA journal_mode=OFF")
        names = ", ".join(f"column_{number} BLOB" for number in range(columns))
        self._file.execute(f"CREATE TABLE texts (place INTEGER PRIMARY KEY, {names})")
        self._file.execute("BEGIN")  # one transaction that nobody needs the end of
        self._insert = f"INSERT INTO texts VALUES (?{', ?' * columns})"
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[str | None, ...]]:
        return map(self.__getitem__, range(self._length))

    def append(self, row: Sequence[str | None]) -> None:
        """Add a row after the others."""
        self._file.execute(self._insert, (self._length, *map(_encoded, row)))
        self._length += 1

    def __getitem__(self, place: int) -> tuple[str | None, ...]:
        row = self._file.execute("SELECT * FROM texts WHERE place = ?", (place,)).fetchone()
        if row is None:
            raise IndexError(f"there is no row {place:,}: {self._length:,} were added")
        return tuple(map(_decoded, row[1:]))


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogatepass")


def _decoded(text: bytes | None) -> str | None:
    return None if text is None else text.decode("utf-8", "surrogatepass")


class Part(Generic[T]):
    """Some of other rows, in an order of their own: they are read there when they are asked for."""

    def __init__(self, rows: Rows[T], places: Iterable[int]) -> None:
        self._rows, self._places = rows, array("q", places)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[T]:
        return map(self._rows.__getitem__, self._places)

    def __getitem__(self, place: int) -> T:
        return self._rows[self._places[place]]
