"""Opening the ledger database: SQLite in WAL mode on one machine, PostgreSQL when shared.

A ledger of an earlier schema is brought up to date in place: what was paid stays usable.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, NoResultFound, OperationalError, SQLAlchemyError

from teams_dagster.core.files import why_not_written
from teams_dagster.core.replies import OFF, STRUCTURED
from teams_dagster.core.row_hash import ROW_HASH, row_hash
from teams_dagster.ledger import schema, write_ahead_log
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
    if version < 4:
        _to_4(connection)
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


def _to_4(connection: sa.Connection) -> None:
    """Constrained replies, reasoning, probabilities, endpoints' traits. Hashes leave NULLs out, so they stay."""
    added = {"questions": ("structured", "allowed_replies"), "answers": ("reasoning", "probabilities")}
    for table, columns in added.items():
        for column in columns:
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column} TEXT")
    schema.endpoint_traits.create(connection, checkfirst=True)
    _keep_unconstrained(connection)


def _keep_unconstrained(connection: sa.Connection) -> None:
    """An endpoint with answers goes on as it was asked: constrained, its queries would be others, and paid anew."""
    asked = schema.questions.c
    endpoint = (asked.provider, asked.base_url, asked.model)
    connection.execute(
        sa.insert(schema.endpoint_traits).from_select(
            ["provider", "base_url", "model", "trait", "value", "found_at"],
            sa.select(*endpoint, sa.literal(STRUCTURED), sa.literal(OFF), sa.literal(now(connection)))
            .where(asked.provider != "offline")
            .distinct(),
        )
    )


def _rows_after(connection: sa.Connection, table: sa.Table, seq: int) -> list[dict[str, Any]]:
    """The next rows of a table, in their order, with the columns that the database has by now."""
    there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
    columns = [column for column in table.c if column.name in there]
    wanted = sa.select(*columns).where(table.c.seq > seq).order_by(table.c.seq).limit(ROWS_AT_ONCE)
    return [dict(row) for row in connection.execute(wanted).mappings()]


_LOG = "write_ahead_log"
"""Under which name a connection to SQLite knows where its log is."""

_POSTGRES_WRITER_LOCK = 0x7EA5_1ED6
"""Advisory lock that orders writers: without it a lower `seq` could become visible after a higher one was read."""


class LedgerError(Exception):
    """The ledger database cannot be opened, read or written."""


class LedgerLost(LedgerError):
    """There is no ledger where the outputs say that there was one."""

    def __init__(self, shown: str, found: str) -> None:
        """`found` says of the ledger `shown` what is wrong with it."""
        super().__init__(
            f"the ledger {shown} {found}, and the outputs in the data folder were made with it whole: going on would"
            " pay again for what was answered, and count the budget from less. Put back what TEAMS_LEDGER_URL (by"
            " default ledger.sqlite in TEAMS_DATA_DIR) held, or move what is there away and run `teams restore BACKUP`;"
            " to begin anew on purpose, set TEAMS_DATA_DIR to a new folder"
        )

    @classmethod
    def of(cls, url: str, found: str) -> Self:
        """Of the ledger at `url`, without its password."""
        return cls(read_address(url).render_as_string(hide_password=True), found)


def sqlite_url(path: Path) -> str:
    """The address of a ledger kept in a file."""
    return f"sqlite:///{path}"


def open_database(url: str) -> sa.Engine:
    """Connect to the ledger at `url`, creating its tables when there are none and bringing older ones up to date.

    Where there has to be one, call `require_ledger` first. Raises LedgerError when it cannot be reached, or was written
    by a newer version of this software.
    """
    address = read_address(url)
    engine = _connected(address)
    event.listen(engine, "begin", _begin)
    try:
        _prepare(engine)
    except SQLAlchemyError as error:
        engine.dispose()
        raise _cannot_open(address, error) from error
    except LedgerError:
        engine.dispose()
        raise
    return engine


def require_ledger(url: str) -> None:
    """Raises LedgerLost where there is no ledger at `url`."""
    if not holds_ledger(url):
        raise LedgerLost.of(url, "is gone or empty")


def holds_ledger(url: str) -> bool:
    """Whether there is a ledger at `url`; looking makes none. Raises LedgerError when that cannot be told."""
    address = read_address(url)
    if address.get_backend_name() == "sqlite":
        place = Path(address.database or "")
        if not place.is_file() or not place.stat().st_size:
            return False
    engine = _connected(address)
    try:
        with engine.connect() as connection:
            return sa.inspect(connection).has_table(schema.ledger_identity.name)
    except SQLAlchemyError as error:
        raise _cannot_open(address, error) from error
    finally:
        engine.dispose()


def _connected(address: sa.URL) -> sa.Engine:
    """An engine that has not connected yet. Raises LedgerError for a kind of database that is not supported."""
    if address.drivername in ("postgresql", "postgres"):
        address = address.set(drivername="postgresql+psycopg")
    backend = address.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise LedgerError(f"TEAMS_LEDGER_URL: {backend} is not supported; use sqlite:///<path> or postgresql://...")
    return _sqlite_engine(address) if backend == "sqlite" else sa.create_engine(address, pool_pre_ping=True)


def _cannot_open(address: sa.URL, error: SQLAlchemyError) -> LedgerError:
    shown = address.render_as_string(hide_password=True)
    why = "its identity is gone" if isinstance(error, NoResultFound) else reason(error)
    folder = Path(address.database or "").parent
    if isinstance(error, OperationalError) and address.get_backend_name() == "sqlite":
        refused = why_not_written(folder)
        if refused is not None:
            return LedgerError(
                f"cannot read the ledger database {shown} ({why}), for {folder} {refused}, and SQLite writes beside"
                " what it reads: see to that, or copy the data folder to where there is room and set TEAMS_DATA_DIR to"
                " it"
            )
    return LedgerError(
        f"cannot read the ledger database {shown}: {why}. Check TEAMS_LEDGER_URL (by default ledger.sqlite in"
        " TEAMS_DATA_DIR); for a ledger that is damaged, move it away and run `teams restore BACKUP`"
    )


@contextmanager
def naming_ledger(url: str) -> Generator[None]:
    """What the database at `url` refuses in the block, as a LedgerError that names it and what to do."""
    try:
        yield
    except SQLAlchemyError as error:
        raise _cannot_open(read_address(url), error) from error


@contextmanager
def write_transaction(engine: sa.Engine) -> Generator[sa.Connection]:
    """A transaction that excludes other writers from its start; it is durable when the block ends.

    On SQLite others may write again while it is made durable, which takes longer than all the rest.
    """
    with engine.connect().execution_options(ledger_writes=True) as connection:
        log, driver = connection.info.get(_LOG), connection.connection.driver_connection
        if log is None or driver is None:
            with connection.begin():
                yield connection
            return
        try:
            with write_ahead_log.durable(driver, log), connection.begin():
                yield connection
        except write_ahead_log.NotOnDisk as error:
            raise LedgerError(f"{error}: see to the disk, then run the same step again") from error


@contextmanager
def read_snapshot(engine: sa.Engine) -> Generator[sa.Connection]:
    """A connection on which every query sees the same state of the ledger."""
    connection = engine.connect()
    if engine.dialect.name == "postgresql":
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
    with connection, connection.begin():
        yield connection


def ledger_id(connection: sa.Connection) -> str:
    """The id that tells this ledger from another one that takes its place."""
    return connection.execute(sa.select(schema.ledger_identity.c.ledger_id)).scalar_one()


def now(connection: sa.Connection) -> int:
    """Microseconds since the epoch by the one clock that all users of this database share."""
    if connection.dialect.name == "sqlite":
        return time.time_ns() // 1_000
    return connection.execute(_POSTGRES_NOW).scalar_one()


_POSTGRES_NOW = sa.text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")


def read_address(url: str) -> sa.URL:
    """`url` taken apart. A password can be anywhere in one that cannot be: no message repeats any of it.

    Raises LedgerError.
    """
    try:
        address = sa.make_url(url)
    except (ArgumentError, ValueError):
        address = None
    if address is None or "@" in (address.host or ""):
        raise LedgerError(
            "TEAMS_LEDGER_URL is no address of a database such as postgresql://user:password@host:5432/name: write"
            " characters like @, : and / in a password as %40, %3A and %2F"
        )
    return address


def _sqlite_engine(address: sa.URL) -> sa.Engine:
    if not address.database or address.database == ":memory:":
        raise LedgerError("TEAMS_LEDGER_URL: the ledger must be a file, so that it outlives the process")
    folder = Path(address.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"the ledger's folder {folder} cannot be made ({error}): set TEAMS_DATA_DIR") from error
    engine = sa.create_engine(address)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, record: Any) -> None:
        record.info[_LOG] = write_ahead_log.configure(connection)

    return engine


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("ledger_writes", False)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
    elif writes:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRES_WRITER_LOCK})")


def _prepare(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        known = sa.inspect(connection).has_table(schema.ledger_identity.name)
        if known and _version(connection) == schema.SCHEMA_VERSION:
            return
    with write_transaction(engine) as connection:
        if not sa.inspect(connection).has_table(schema.ledger_identity.name):
            schema.metadata.create_all(connection)
            row = {"schema_version": schema.SCHEMA_VERSION, "ledger_id": uuid.uuid4().hex}
            connection.execute(sa.insert(schema.ledger_identity), row)
        version = _version(connection)
        if OLDEST <= version < schema.SCHEMA_VERSION:
            migrate(connection, version)
        elif version != schema.SCHEMA_VERSION:
            raise LedgerError(
                f"the ledger database has schema version {version}, this software knows {schema.SCHEMA_VERSION}: "
                "update teams-dagster, or point TEAMS_LEDGER_URL (or TEAMS_DATA_DIR) at another ledger"
            )


def _version(connection: sa.Connection) -> int:
    return connection.execute(sa.select(schema.ledger_identity.c.schema_version)).scalar_one()


def reason(error: Exception) -> str:
    """The driver's own words, without the statement and its parameters."""
    return str(getattr(error, "orig", None) or error).strip()
