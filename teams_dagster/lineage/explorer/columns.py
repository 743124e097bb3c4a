"""Rows of the read model as columns of plain numbers and short strings, a block at a time.

Texts and names are held once, and told apart by number.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import resources
from typing import Any

import duckdb

from teams_dagster.core.text import visible

NOTHING = -1
"""The number of what is NULL."""


MOST_CHARACTERS = 250_000_000
"""Of all texts of a page: what a browser holds, twice, beside its tables."""


class ExplorerError(ValueError):
    """The page cannot be made; the message says why, and what to do."""


class Texts:
    """Long texts. Those not written yet wait in `pending`; of the others only their hashes stay in memory."""

    def __init__(self, most_characters: int = MOST_CHARACTERS) -> None:
        self.pending: list[str] = []
        self.pending_characters = 0
        self.count = 0
        self.characters = 0
        self._most_characters = most_characters
        self._known: dict[bytes, int] = {}

    def number(self, text: str | None) -> int:
        """The number of `text`, made visible. Raises ExplorerError when all texts are too much for one page."""
        if text is None:
            return NOTHING
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        known = self._known.get(digest)
        return self._add(digest, visible(text)) if known is None else known

    def _add(self, digest: bytes, text: str) -> int:
        self.characters += len(text)
        if self.characters > self._most_characters:
            raise ExplorerError(
                f"the texts have more than {self._most_characters:,} characters, the most that one page can hold:"
                " choose fewer samples, for instance those of one generation"
            )
        number = self._known[digest] = self.count
        self.count += 1
        self.pending.append(text)
        self.pending_characters += len(text)
        return number

    def taken(self) -> list[str]:
        """What waits, to be written now."""
        waiting, self.pending, self.pending_characters = self.pending, [], 0
        return waiting


class Names:
    """Short strings that repeat: operations, versions, models."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str | None) -> int:
        """The number of `name`, made visible."""
        return NOTHING if name is None else self._numbers.setdefault(visible(name), len(self._numbers))

    def all(self) -> list[str]:
        """Every name, by its number."""
        return list(self._numbers)


ROWS_AT_ONCE = 5_000
"""Rows of one block, and rows held in memory."""

TEXTS_AT_ONCE = 2_000_000
"""Characters of one block of texts, about."""


class Kind(Enum):
    """What a column holds, and so how it is written."""

    KEY = "KEY"
    """A string by which other tables name the row."""
    ID = "ID"
    """A string of its own."""
    NAME = "NAME"
    """A string that repeats, as the number of it."""
    TEXT = "TEXT"
    """A long text, as the number of it."""
    NUMBER = "NUMBER"
    """A number or a truth value, or NULL."""


@dataclass(frozen=True)
class Row:
    """A column that names a row of another table, as the number of that row."""

    table: str


Columns = Mapping[str, Kind | Row]


@dataclass(frozen=True)
class Block:
    """A part of a table: the same number of values for each column. Of `texts` and `names` the one column is `all`."""

    table: str
    columns: dict[str, list[Any]]


class Reader:
    """Reads tables one after the other. Memory holds a block, the ids of rows that others name, and hashes of texts."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, texts: Texts) -> None:
        self._connection = connection
        self.texts = texts
        self.names = Names()
        self._rows: dict[str, dict[str, int]] = {}
        self.counts: dict[str, int] = {}

    def read(self, table: str, columns: Columns) -> Iterator[Block]:
        """The rows of `sql/<table>.sql`, whose columns are `columns`, and the texts that they brought.

        Raises ExplorerError where a row names a row of another table that is not there.
        """
        self._rows[table] = {}
        self.counts[table] = 0
        self._connection.execute(statement(table))
        found = [column[0] for column in self._connection.description or []]
        if found != list(columns):
            raise RuntimeError(f"sql/{table}.sql has the columns {found}, and not {list(columns)}")
        while rows := self._connection.fetchmany(ROWS_AT_ONCE):
            values = zip(*rows, strict=True)
            yield Block(
                table,
                {
                    name: self._column(table, name, kind, column)
                    for (name, kind), column in zip(columns.items(), values, strict=True)
                },
            )
            self.counts[table] += len(rows)
            if self.texts.pending_characters >= TEXTS_AT_ONCE:
                yield Block("texts", {"all": self.texts.taken()})
        if self.counts[table] == 0:
            yield Block(table, {name: [] for name in columns})

    def rest(self) -> Iterator[Block]:
        """What all tables share, after the last of them."""
        yield Block("texts", {"all": self.texts.taken()})
        yield Block("names", {"all": self.names.all()})

    def _column(self, table: str, name: str, kind: Kind | Row, values: tuple[Any, ...]) -> list[Any]:
        match kind:
            case Row(other):
                return [self._row(table, name, other, value) for value in values]
            case Kind.NAME:
                return [self.names.number(value) for value in values]
            case Kind.TEXT:
                return [self.texts.number(value) for value in values]
            case Kind.NUMBER:
                return [_number(value) for value in values]
            case Kind.KEY:
                first = self.counts[table]
                self._rows[table] |= {value: first + place for place, value in enumerate(values)}
                return [visible(value) for value in values]
            case Kind.ID:
                return [visible(value) for value in values]

    def _row(self, table: str, name: str, other: str, value: str | None) -> int:
        if value is None:
            return NOTHING
        number = self._rows[other].get(value)
        if number is None:
            raise ExplorerError(
                f"{table}.{name} names {value!r}, which is not among the {other} of the read model:"
                " delete teams.duckdb and let the next step make it again"
            )
        return number


def _number(value: float | None) -> float | int | None:
    """What JSON can say: a truth value as 0 or 1, what is no finite number as NULL."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if isinstance(value, bool) else value


@cache
def statement(name: str) -> str:
    """The SQL of `sql/<name>.sql`."""
    return resources.files("teams_dagster.lineage.explorer").joinpath("sql", f"{name}.sql").read_text("utf-8")
