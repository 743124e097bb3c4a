"""What is durable on SQLite, and how long others wait for it."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from teams_dagster.ledger.database import LedgerError, open_database, sqlite_url, write_transaction
from teams_dagster.ledger.schema import ledger_identity


def test_what_is_written_is_on_the_disk_before_its_writer_goes_on_and_others_write_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, copy = tmp_path / "ledger.sqlite", tmp_path / "copy.sqlite"
    engine = open_database(sqlite_url(path))
    synced: list[int] = []

    def look(_: int) -> None:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
        with closing(sqlite3.connect(copy)) as lost_power:
            synced.extend(version for (version,) in lost_power.execute("select schema_version from ledger_identity"))

    monkeypatch.setattr("teams_dagster.ledger.write_ahead_log._sync", look)
    with write_transaction(engine) as writer:
        writer.execute(sa.update(ledger_identity).values(schema_version=99))
    assert synced == [99]


def test_a_transaction_that_writes_nothing_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As most looks for an answer that is not there yet."""
    engine = open_database(sqlite_url(tmp_path / "ledger.sqlite"))
    synced: list[int] = []
    monkeypatch.setattr("teams_dagster.ledger.write_ahead_log._sync", synced.append)
    with write_transaction(engine) as writer:
        writer.execute(sa.select(ledger_identity))
    assert synced == []


def test_a_disk_that_does_not_take_what_was_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_database(sqlite_url(tmp_path / "ledger.sqlite"))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("teams_dagster.ledger.write_ahead_log._sync", full)
    with (
        pytest.raises(LedgerError, match=r"ledger\.sqlite-wal.*No space left on device"),
        write_transaction(engine) as writer,
    ):
        writer.execute(sa.update(ledger_identity).values(schema_version=99))


def test_the_log_of_processes_that_write_in_turns_does_not_grow_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite"
    ours, theirs = open_database(sqlite_url(path)), open_database(sqlite_url(path))
    monkeypatch.setattr("teams_dagster.ledger.write_ahead_log.LOG_BYTES", 100_000)
    log = Path(f"{path}-wal")
    longest = 0
    for letter in "abcdefghijklmnopqrstuvwxyz":
        for engine in (ours, theirs):
            with write_transaction(engine) as writer:
                name = f"{letter}{engine is ours}"
                writer.execute(sa.update(ledger_identity).values(ledger_id=name * 4_000))
            longest = max(longest, log.stat().st_size)
    assert longest < 300_000


def test_a_connection_keeps_the_pages_of_a_large_index_that_it_looks_hashes_up_in(tmp_path: Path) -> None:
    with open_database(sqlite_url(tmp_path / "ledger.sqlite")).connect() as connection:
        assert -connection.exec_driver_sql("PRAGMA cache_size").scalar_one() * 1_024 >= 64_000_000
