"""Rows of the read model as columns of plain numbers and short strings, a block at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import resources
from typing import Any

import duckdb

from teams_dagster.core.text import visible
from teams_dagster.lineage.explorer.interning import NOTHING, ExplorerError, Names, Texts

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
