"""The ledger database's rows in commit order, as Arrow tables for the read model: a batch at a time, any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import sqlalchemy as sa

from teams_dagster.ledger.schema import answers, attempts, questions, results, uses

ROWS_AT_ONCE = 50_000


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
    sa.Boolean: pa.bool_(),
}

_TIMES = {"started_at", "finished_at", "created_at", "asked_at"}


def end(connection: sa.Connection) -> Position:
    """The position after the last row."""
    highest = [
        connection.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.seq), 0))).scalar_one()
        for table in (attempts, results, uses, answers)
    ]
    return Position(*highest)


def new_calls(connection: sa.Connection, since: Position) -> Iterator[pa.Table]:
    """Attempts written after `since`, with their results so far (status `unresolved` where there is none)."""
    columns = [
        *(column for column in attempts.c if column.name != "seq"),
        *(questions.c[name] for name in ("base_url", "prompt_version", "replica")),
        *_RESULT_COLUMNS,
    ]
    joined = attempts.join(questions, attempts.c.request_key == questions.c.request_key).outerjoin(
        results, attempts.c.request_id == results.c.request_id
    )
    selected = sa.select(*columns).select_from(joined).where(attempts.c.seq > since.attempts)
    return _batches(connection, selected.order_by(attempts.c.seq))


def late_results(connection: sa.Connection, since: Position) -> Iterator[pa.Table]:
    """Results written after `since` of attempts written before it."""
    joined = results.join(attempts, attempts.c.request_id == results.c.request_id)
    selected = sa.select(results.c.request_id, *_RESULT_COLUMNS).select_from(joined)
    late = selected.where(results.c.seq > since.results, attempts.c.seq <= since.attempts)
    return _batches(connection, late.order_by(results.c.seq))


def new_uses(connection: sa.Connection, since: Position) -> Iterator[pa.Table]:
    """Uses written after `since`."""
    columns = [column for column in uses.c if column.name not in ("seq", "answered")]
    return _batches(connection, sa.select(*columns).where(uses.c.seq > since.uses).order_by(uses.c.seq))


def new_answers(connection: sa.Connection, since: Position) -> Iterator[pa.Table]:
    """Answers written after `since`."""
    columns = [column for column in answers.c if column.name != "seq"]
    return _batches(connection, sa.select(*columns).where(answers.c.seq > since.answers).order_by(answers.c.seq))


_RESULT_COLUMNS = [
    sa.func.coalesce(results.c.status, "unresolved").label("status"),
    *(column for column in results.c if column.name not in ("seq", "request_id", "status")),
]


def _batches(connection: sa.Connection, selected: sa.Select) -> Iterator[pa.Table]:
    fields = [pa.field(column.name, _arrow_type(column)) for column in selected.selected_columns]
    schema = pa.schema(fields)
    rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(selected)
    for part in rows.partitions():
        columns = zip(*part, strict=True)
        arrays = [pa.array(values, kind) for values, kind in zip(columns, schema.types, strict=True)]
        yield pa.Table.from_arrays(arrays, schema=schema)


def _arrow_type(column: sa.ColumnElement) -> pa.DataType:
    if column.name in _TIMES:
        return pa.timestamp("us")
    return next((kind for known, kind in _TYPES.items() if isinstance(column.type, known)), pa.string())
