"""A whole ledger into another database: SQLite or PostgreSQL, from either into either."""

from __future__ import annotations

import sqlalchemy as sa

from teams_dagster.ledger import schema
from teams_dagster.ledger.database import (
    LedgerError,
    holds_ledger,
    open_database,
    read_snapshot,
    require_ledger,
    write_transaction,
)

ROWS_AT_ONCE = 10_000
"""Rows held in memory."""


class LedgerInTheWay(LedgerError):
    """There is a ledger already where another one is to be copied to."""


def copy_ledger(source_url: str, target_url: str) -> dict[str, int]:
    """Copy a ledger as it is at one moment, with its identity, its chain and what was spent; the rows of each table.

    Others may write to the source meanwhile. The target is whole or has nothing. Raises LedgerError, and LedgerInTheWay
    for a target that holds a ledger.
    """
    if holds_ledger(target_url):
        raise LedgerInTheWay("there is a ledger where this one is to be copied to: name an empty database")
    require_ledger(source_url)
    source = open_database(source_url)
    target = open_database(target_url)
    try:
        with read_snapshot(source) as before, write_transaction(target) as after:
            after.execute(sa.delete(schema.ledger_identity))  # the identity that a new ledger was given
            return {table.name: _copy(before, after, table) for table in schema.metadata.sorted_tables}
    finally:
        source.dispose()
        target.dispose()


def _copy(source: sa.Connection, target: sa.Connection, table: sa.Table) -> int:
    count = 0
    rows = source.execution_options(yield_per=ROWS_AT_ONCE).execute(sa.select(table)).mappings()
    for group in rows.partitions():
        target.execute(sa.insert(table), [dict(row) for row in group])
        count += len(group)
    if count and "seq" in table.c and target.dialect.name == "postgresql":
        highest = sa.select(sa.func.max(table.c.seq)).scalar_subquery()
        target.execute(sa.select(sa.func.setval(sa.func.pg_get_serial_sequence(table.name, "seq"), highest)))
    return count
