"""The ledger database's rows in commit order, as streams of Arrow batches for the read model: any size, little memory.

The databases' own drivers are read in batches that fit a processor's cache: at a million rows this halves the time.
Nothing but Python's own SQLite may open the ledger file in a process that writes to it: with two copies of SQLite in
one process, closing a file in one drops the locks of the other (sqlite.org/howtocorrupt.html, 2.2.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from teams_dagster.core.row_hash import ROW_HASH, batch_hashes
from teams_dagster.ledger.database import LedgerError
from teams_dagster.ledger.schema import answers, attempts, questions, results, uses

ROWS_AT_ONCE = 2_048
"""Rows of a batch: a DuckDB vector."""


@dataclass(frozen=True)
class Position:
    """How far the append-only tables have been read: the highest `seq` seen of each."""

    attempts: int = 0
    results: int = 0
    uses: int = 0
    answers: int = 0


_TYPES: dict[type, pa.DataType] = {
    sa.Text: pa.string(),
    sa.Integer: pa.int64(),
    sa.BigInteger: pa.int64(),
    sa.Double: pa.float64(),
}

_OWN = ("seq", ROW_HASH)
"""Columns that serve the ledger database itself."""

_TIMES = {"started_at", "finished_at", "created_at", "asked_at"}


@dataclass(frozen=True)
class HashedRow:
    """A row of the ledger by its place, with the hash it carries and the one its fields have."""

    seq: int
    stored: str
    computed: str


def end(connection: sa.Connection) -> Position:
    """The position after the last row."""
    highest = [
        connection.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.seq), 0))).scalar_one()
        for table in (attempts, results, uses, answers)
    ]
    return Position(*highest)


def new_calls(connection: sa.Connection, since: Position) -> pa.RecordBatchReader:
    """Attempts written after `since`, with their results so far (status `unresolved` where there is none)."""
    joined = _ASKED.outerjoin(results, attempts.c.request_id == results.c.request_id)
    new = sa.select(*_CALL).select_from(joined).where(attempts.c.seq > since.attempts)
    return _stream(connection, new.order_by(attempts.c.seq))


def settled_calls(connection: sa.Connection, since: Position) -> pa.RecordBatchReader:
    """Attempts written up to `since` whose result was written after it: the whole calls, as `new_calls` gives them."""
    joined = _ASKED.join(results, attempts.c.request_id == results.c.request_id)
    settled = sa.select(*_CALL).select_from(joined)
    settled = settled.where(results.c.seq > since.results, attempts.c.seq <= since.attempts)
    return _stream(connection, settled.order_by(results.c.seq))


def new_uses(connection: sa.Connection, since: Position) -> pa.RecordBatchReader:
    """Uses written after `since`."""
    columns = [_whole_number(column) for column in uses.c if column.name not in (*_OWN, "answered")]
    return _stream(connection, sa.select(*columns).where(uses.c.seq > since.uses).order_by(uses.c.seq))


def new_answers(connection: sa.Connection, since: Position) -> pa.RecordBatchReader:
    """Answers written after `since`."""
    columns = [column for column in answers.c if column.name not in _OWN]
    return _stream(connection, sa.select(*columns).where(answers.c.seq > since.answers).order_by(answers.c.seq))


def row_hashes(connection: sa.Connection, table: sa.Table, first: int, last: int) -> Iterator[str]:
    """The hashes that the rows of `table` from `first` to `last` carry, in their order."""
    carried = sa.select(table.c.seq, table.c[ROW_HASH]).where(table.c.seq.between(first, last)).order_by(table.c.seq)
    for batch in _stream(connection, carried):
        yield from batch.column(ROW_HASH).to_pylist()


def hashed_rows(connection: sa.Connection, table: sa.Table) -> Iterator[HashedRow]:
    """Every row of `table`, in order, with its hash as it is stored and as it is computed now.

    Raises LedgerError for a value that is not of its column's type, which this software never writes.
    """
    everything = [_whole_number(column) for column in table.c]
    last = 0
    try:
        for batch in _stream(connection, sa.select(*everything).order_by(table.c.seq)):
            content = batch.select([name for name in batch.schema.names if name not in _OWN])
            seqs, stored = batch.column("seq").to_pylist(), batch.column(ROW_HASH).to_pylist()
            yield from map(HashedRow, seqs, stored, batch_hashes(table.name, content))
            last = seqs[-1]
    except (pa.ArrowException, TypeError) as error:
        raise LedgerError(f"the ledger's table {table.name} was changed, a little after row {last}: {error}") from error


_ASKED = attempts.join(questions, attempts.c.request_key == questions.c.request_key)

_CALL = [
    *(column for column in attempts.c if column.name not in _OWN),
    *(questions.c[name] for name in ("base_url", "prompt_version", "replica", "structured", "allowed_replies")),
    sa.func.coalesce(results.c.status, "unresolved").label("status"),
    *(column for column in results.c if column.name not in (*_OWN, "request_id", "status")),
]
"""The columns of `llm_calls`."""


def _whole_number(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Truth as 0 or 1: what SQLite keeps, and DuckDB understands."""
    return sa.cast(column, sa.Integer).label(column.name) if isinstance(column.type, sa.Boolean) else column


def _stream(connection: sa.Connection, selected: sa.Select[*tuple[Any, ...]]) -> pa.RecordBatchReader:
    """The rows of `selected`, read when they are asked for, in the transaction of `connection`."""
    columns = [(column.name, _arrow_type(column)) for column in selected.selected_columns]
    schema = pa.schema(columns)
    return pa.RecordBatchReader.from_batches(schema, _batches(connection, selected, schema))


def _batches(
    connection: sa.Connection, selected: sa.Select[*tuple[Any, ...]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    statement = selected.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    cursor = _cursor(connection)
    try:
        cursor.execute(str(statement))
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            values = zip(zip(*rows, strict=True), schema.types, strict=True)
            yield pa.RecordBatch.from_arrays([pa.array(column, kind) for column, kind in values], schema=schema)
    finally:
        cursor.close()


def _cursor(connection: sa.Connection) -> Any:
    """The driver's own cursor; on PostgreSQL one whose rows wait at the server."""
    driver = connection.connection
    return driver.cursor(name="read_model") if connection.dialect.name == "postgresql" else driver.cursor()


def _arrow_type(column: sa.ColumnElement[Any]) -> pa.DataType:
    if column.name in _TIMES:
        return pa.timestamp("us")
    return next((kind for known, kind in _TYPES.items() if isinstance(column.type, known)), pa.string())
