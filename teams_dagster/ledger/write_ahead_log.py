"""SQLite's write-ahead log: where commits are kept until a checkpoint takes them over into the database.

Under synchronous=FULL a commit puts the log on the disk and lets nobody else write meanwhile, though that takes longer
than all the rest. Here others may write again as soon as the log is written; what a writer is told to be durable is.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

BUSY_TIMEOUT_MS = 60_000
"""How long a writer waits for another process's transaction."""

LOG_BYTES = 16_000_000
"""A longer log is taken over into the database: pages that are written often are so seldom copied, and the log of
processes that write all the time does not grow without end."""

CACHE_KIB = 65_536
"""Of the database's pages, in memory of a connection that reads so many: rows are looked up by hashes, whose places in
an index are anywhere, and SQLite's own 2 MB do not hold the index of a hundred thousand."""

PRIMARY_CODE = 0xFF
"""The part of an SQLite error code that says what is wrong; the rest says where."""

_RETRY_S = 0.01

_sync = getattr(os, "fdatasync", os.fsync)
"""Puts the content of an open file on its disk."""


class NotOnDisk(Exception):
    """What was committed is in the log, and the disk did not take it."""


def configure(connection: sqlite3.Connection) -> str | None:
    """Prepare a new connection for `durable`; returns the log's path, None on a file system that can have none."""
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    has_log = _keep_log(connection)
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    connection.execute("PRAGMA synchronous=FULL")
    if not has_log:
        return None
    connection.execute("PRAGMA wal_autocheckpoint=0")
    _, _, database = connection.execute("PRAGMA database_list").fetchone()
    return f"{database}-wal"


@contextmanager
def durable(connection: sqlite3.Connection, log: str) -> Generator[None]:
    """What the block commits is on the disk when it ends. Raises NotOnDisk.

    The log is put there after the commit: all that was committed before is in it, too, whoever did, or in the database,
    where a checkpoint does not leave it to chance either.
    """
    connection.execute("PRAGMA synchronous=NORMAL")
    changes = connection.total_changes
    try:
        yield
    finally:
        connection.execute("PRAGMA synchronous=FULL")
    if connection.total_changes != changes and _put_on_disk(log) > LOG_BYTES:
        _take_over(connection)


def _put_on_disk(log: str) -> int:
    """Returns the log's bytes. Raises NotOnDisk."""
    try:
        file = os.open(log, os.O_RDWR)
        try:
            _sync(file)
            return os.fstat(file).st_size
        finally:
            os.close(file)
    except OSError as error:
        raise NotOnDisk(f"what the ledger's log {log} holds cannot be put on its disk ({error})") from error


def _take_over(connection: sqlite3.Connection) -> None:
    """Copy the log into the database and empty it: most of it while others write, the rest if nobody does just now.

    SQLite's own checkpoint does the first alone, and where processes write in turns it never comes to the log's end.
    What cannot be done now, beside a reader say, is done after the next transaction.
    """
    connection.execute("PRAGMA busy_timeout=0")
    try:
        with suppress(sqlite3.OperationalError):
            for mode in ("PASSIVE", "TRUNCATE"):
                connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def _keep_log(connection: sqlite3.Connection) -> bool:
    """Put the database into WAL mode; whether its file system can.

    When several open a new one at once, SQLite refuses some without waiting.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1_000
    while True:
        try:
            return connection.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_S)
