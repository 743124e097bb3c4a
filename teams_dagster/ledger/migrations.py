"""Bringing a ledger of an earlier schema up to date, in place: what was paid stays usable."""

from __future__ import annotations

import sqlalchemy as sa

from teams_dagster.ledger import schema
from teams_dagster.ledger.budgets import PROJECT, recount

OLDEST = 1
"""The oldest schema version that can be brought up to date."""


def migrate(connection: sa.Connection, version: int) -> None:
    """Take a ledger of `version` (`OLDEST` or later) to the present schema, inside a write transaction."""
    if version < 2:
        _to_2(connection)
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
