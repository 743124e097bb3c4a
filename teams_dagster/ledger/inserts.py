"""Rows in as few statements as they fit into, made before the transaction that runs them.

Each statement gives the interpreter up and waits for it again, beside a busy event loop for milliseconds; all that
time other processes' writers wait for the transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql.compiler import SQLCompiler

MOST_ROWS = 32
"""Rows of one statement: an SQLite of before 2020 takes 999 parameters."""

_KEPT_WHEN_REPEATED = {"questions": ["request_key"], "uses": ["use_id", "answered"]}
"""The tables where a repeated row is ignored, with what makes it a repetition. Elsewhere a repetition is an error."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement in the driver's words, with its parameters: those of one row, or of each of many."""

    text: str
    parameters: tuple[Any, ...] | list[dict[str, Any]]

    def run(self, connection: sa.Connection) -> None:
        """Write the rows."""
        connection.exec_driver_sql(self.text, self.parameters)


def statements(insert: sa.Insert, rows: Sequence[Mapping[str, Any]], dialect: str) -> Iterator[Statement]:
    """Those that write `rows`, which all have the same columns, the values being what the driver takes.

    SQLite gets a few of 1, 2, 4 ... rows, so that each is known from the last time; PostgreSQL's driver sends all rows
    of one statement at once by itself.
    """
    columns = tuple(rows[0])
    if dialect == "postgresql":
        yield Statement(str(_compiled(insert, columns, dialect)), [dict(row) for row in rows])
        return
    begun = 0
    while left := len(rows) - begun:
        count = min(MOST_ROWS, 1 << (left.bit_length() - 1))
        text, order = _of_rows(insert, columns, count)
        yield Statement(text, tuple(row[name] for row in rows[begun : begun + count] for name in order))
        begun += count


@cache
def _of_rows(insert: sa.Insert, columns: tuple[str, ...], count: int) -> tuple[str, tuple[str, ...]]:
    """The text that inserts so many rows into SQLite, and the order of a row's values."""
    compiled = _compiled(insert, columns, "sqlite")
    order = tuple(compiled.positiontup or ())
    row = f"({', '.join('?' * len(order))})"
    before, values, after = str(compiled).partition(f"VALUES {row}")
    assert values, "an insert of one row"
    return f"{before}VALUES {', '.join([row] * count)}{after}", order


@cache
def _compiled(insert: sa.Insert, columns: tuple[str, ...], dialect: str) -> SQLCompiler:
    driver = PGDialect_psycopg() if dialect == "postgresql" else SQLiteDialect_pysqlite()
    compiled = insert.inline().compile(dialect=driver, column_keys=list(columns))
    assert isinstance(compiled, SQLCompiler), "an insert is SQL"
    return compiled


@cache
def insert_row(table: sa.Table, dialect: str) -> sa.Insert:
    """An insert that leaves a row as it is which says the same; anything else that is there already is an error.

    The transaction ends with that, so SQLite need not be able to take back one statement of many rows alone: it would
    copy every page that the statement changes.
    """
    insert = _dialect(dialect).insert(table)
    insert = insert.prefix_with("OR FAIL", dialect="sqlite")
    unique = _KEPT_WHEN_REPEATED.get(table.name)
    return insert.on_conflict_do_nothing(index_elements=unique) if unique else insert


@cache
def upsert(table: sa.Table, dialect: str) -> sa.Insert:
    """An insert that replaces the row of the same primary key."""
    insert = _dialect(dialect).insert(table)
    keys = [column.name for column in table.primary_key]
    others = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=others)


@cache
def insert_new(table: sa.Table, dialect: str) -> sa.Insert:
    """An insert that leaves a row of the same primary key as it is."""
    return _dialect(dialect).insert(table).on_conflict_do_nothing()


@cache
def add_up(table: sa.Table, dialect: str) -> sa.Insert:
    """An insert that adds to the amounts of the row of the same primary key."""
    insert = _dialect(dialect).insert(table)
    keys = [column.name for column in table.primary_key]
    added = {column.name: column + insert.excluded[column.name] for column in table.columns if column.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=added)


def _dialect(name: str) -> ModuleType:
    return postgresql if name == "postgresql" else sqlite
