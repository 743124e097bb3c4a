"""Ledgers as earlier versions of this software left them."""

from __future__ import annotations

import sqlalchemy as sa

from teams_dagster.ledger.database import open_database, write_transaction
from teams_dagster.ledger.schema import HISTORY, attempts, ledger_identity

ADDED_BY_2 = (
    ("attempts", "reserved_tokens"),
    ("attempts", "reserved_nano_usd"),
    ("attempts", "batch_id"),
    ("results", "reasoning_tokens"),
    ("answers", "reasoning_tokens"),
    ("results", "cache_write_tokens"),
    ("answers", "cache_write_tokens"),
)

ADDED_BY_4 = (
    ("questions", "structured"),
    ("questions", "allowed_replies"),
    ("answers", "reasoning"),
    ("answers", "probabilities"),
)


def make_older(url: str, version: int) -> None:
    """Take from the ledger at `url` what schema versions after `version` (1 or 3) added to it."""
    with write_transaction(open_database(url)) as connection:
        _drop(connection, ADDED_BY_4, "endpoint_traits")
        if version < 3:
            for index in attempts.indexes:
                index.drop(connection)
            hashes = [(table.name, "row_hash") for table in HISTORY]
            _drop(connection, (*ADDED_BY_2, *hashes), "owners", "claims", "spending", "batches", "seals")
        connection.execute(sa.update(ledger_identity).values(schema_version=version))


def _drop(connection: sa.Connection, columns: tuple[tuple[str, str], ...], *tables: str) -> None:
    for table, column in columns:
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")
    for table in tables:
        connection.exec_driver_sql(f"DROP TABLE {table}")
