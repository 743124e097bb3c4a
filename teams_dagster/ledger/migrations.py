"""Bringing a ledger of an earlier schema up to date, in place: what was paid stays usable."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from teams_dagster.core.row_hash import ROW_HASH, row_hash
from teams_dagster.ledger import schema
from teams_dagster.ledger.budgets import PROJECT, recount

ROWS_AT_ONCE = 10_000
"""Rows held in memory while all of a table are rewritten."""

OLDEST = 1
"""The oldest schema version that can be brought up to date."""


def migrate(connection: sa.Connection, version: int) -> None:
    """Take a ledger of `version` (`OLDEST` or later) to the present schema, inside a write transaction."""
    if version < 2:
        _to_2(connection)
    if version < 3:
        _to_3(connection)
    connection.execute(sa.update(schema.ledger_identity).values(schema_version=schema.SCHEMA_VERSION))


def _to_2(connection: sa.Connection) -> None:
    """Reservations, claims, budgets, batches, reasoning and cache writes, and the attempts' indexes."""
    added = {
        "attempts": ("reserved_tokens BIGINT", "reserved_nano_usd BIGINT", "batch_id TEXT"),
        "results": ("reasoning_tokens BIGINT", "cache_write_tokens BIGINT"),
        "answers": ("reasoning_tokens BIGINT", "cache_write_tokens BIGINT"),
    }
    for table, columns in added.items():
        for column in columns:
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column}")
    schema.metadata.create_all(connection)  # makes no index of a table that was there before
    for index in schema.attempts.indexes:
        index.create(connection, checkfirst=True)
    spent = recount(connection)
    connection.execute(
        sa.insert(schema.spending).values(
            scope=PROJECT, queries=spent.queries, tokens=spent.tokens, nano_usd=spent.nano_usd
        )
    )


def _to_3(connection: sa.Connection) -> None:
    """Every row's hash, and the chain that seals them. Hashes of earlier rows say what they are now."""
    schema.seals.create(connection, checkfirst=True)
    for table in schema.HISTORY:
        connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {ROW_HASH} TEXT NOT NULL DEFAULT ''")
        marked = sa.update(table).where(table.c.seq == sa.bindparam("of")).values(row_hash=sa.bindparam("is"))
        last = 0
        while rows := _rows_after(connection, table, last):
            last = rows[-1]["seq"]
            hashes = [{"of": row.pop("seq"), "is": row_hash(table.name, row)} for row in rows]
            connection.execute(marked, hashes)


def _rows_after(connection: sa.Connection, table: sa.Table, seq: int) -> list[dict[str, Any]]:
    """The next rows of a table, in their order."""
    wanted = sa.select(table).where(table.c.seq > seq).order_by(table.c.seq).limit(ROWS_AT_ONCE)
    return [dict(row) for row in connection.execute(wanted).mappings()]
