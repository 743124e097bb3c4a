"""Opening the ledger database."""

from __future__ import annotations

import os
import sqlite3
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from teams_dagster.ledger.budgets import Spent
from teams_dagster.ledger.costs import existing_ledger
from teams_dagster.ledger.database import (
    LedgerError,
    naming_ledger,
    open_database,
    read_snapshot,
    sqlite_url,
    write_transaction,
)
from teams_dagster.ledger.schema import HISTORY, SCHEMA_VERSION, ledger_identity
from teams_dagster.ledger.traits import traits_of
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.source import HashedRow, hashed_rows
from tests.support.entries import IDENTITY, ask, begin, intend
from tests.support.old_ledgers import make_older


def test_sqlite_is_durable_and_lets_readers_and_writers_work_together(tmp_path: Path) -> None:
    engine = open_database(sqlite_url(tmp_path / "new" / "ledger.sqlite"))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("pragma journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("pragma synchronous").scalar() == 2  # FULL


@pytest.mark.slow
def test_many_may_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    """SQLite refuses a switch to WAL mode beside another one at once, whatever its timeout."""
    with ThreadPoolExecutor(8) as pool:
        for number in range(50):
            together = threading.Barrier(8, timeout=60)

            def open_it(
                _: int, url: str = sqlite_url(tmp_path / str(number)), meet: threading.Barrier = together
            ) -> str:
                meet.wait()
                engine = open_database(url)
                with engine.connect() as connection:
                    return connection.execute(sa.select(ledger_identity.c.ledger_id)).scalar_one()

            assert len(set(pool.map(open_it, range(8)))) == 1


def test_a_ledger_keeps_its_identity_and_another_one_has_another(tmp_path: Path) -> None:
    def identity(name: str) -> str:
        with open_database(sqlite_url(tmp_path / name)).connect() as connection:
            return connection.execute(sa.select(ledger_identity.c.ledger_id)).scalar_one()

    assert identity("a") == identity("a") != identity("b")


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "ledger.sqlite")
    with write_transaction(open_database(url)) as connection:
        connection.execute(sa.update(ledger_identity).values(schema_version=99))
    with pytest.raises(LedgerError, match="schema version 99"):
        open_database(url)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/db"])
def test_an_address_that_cannot_hold_a_ledger_is_refused(url: str) -> None:
    with pytest.raises(LedgerError, match="TEAMS_LEDGER_URL"):
        open_database(url)


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("no database " * 1_000)
    with pytest.raises(LedgerError, match=str(path)):
        open_database(sqlite_url(path))


def test_a_password_is_not_shown_when_the_server_is_away() -> None:
    with pytest.raises(LedgerError) as failure:
        open_database("postgresql://me:sesame@127.0.0.1:9/db?connect_timeout=2")
    assert "sesame" not in str(failure.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql//teams:secret@host/db",
        "postgresql://teams:secret@host:port/db",
        "postgresql://teams:pass@secret@host/db",
        "postgresql://teams@host:secret/db",
        "secret",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(LedgerError, match="TEAMS_LEDGER_URL") as refused:
        open_database(url)
    assert "secret" not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(LedgerError) as refused, existing_ledger(url):
        pass
    assert "secret" not in "".join(traceback.format_exception(refused.value))


def test_a_snapshot_does_not_change_under_its_reader(tmp_path: Path) -> None:
    engine = open_database(sqlite_url(tmp_path / "ledger.sqlite"))
    version = sa.select(ledger_identity.c.schema_version)
    with read_snapshot(engine) as reader:
        before = reader.execute(version).scalar_one()
        with write_transaction(engine) as writer:
            writer.execute(sa.update(ledger_identity).values(schema_version=99))
        assert reader.execute(version).scalar_one() == before


def test_a_ledger_of_the_first_version_is_brought_up_to_date_with_all_it_holds(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "ledger.sqlite")
    with Ledger(url) as ledger:
        ask(ledger, "paid")
        intend(ledger, "of unknown fate")
        before = ledger.answers([begin("paid").use.request_key]).get(begin("paid").use.request_key)
    make_older(url, 1)
    with Ledger(url) as ledger:
        after = ledger.answers([begin("paid").use.request_key]).get(begin("paid").use.request_key)
        assert before is not None
        assert after is not None
        assert (after.request_id, after.completion.text) == (before.request_id, before.completion.text)
        assert ledger.spent() == Spent(queries=2, tokens=15, nano_usd=7)
        ask(ledger, "another")
    with open_database(url).connect() as connection:
        assert connection.execute(sa.select(ledger_identity.c.schema_version)).scalar_one() == SCHEMA_VERSION
        assert {index["name"] for index in sa.inspect(connection).get_indexes("attempts")} == _INDEXES
        hashed = [row for table in HISTORY for row in hashed_rows(connection, table)]
        assert len(hashed) == 12
        assert all(row.stored == row.computed for row in hashed)


def test_a_ledger_of_the_third_version_keeps_its_answers_and_every_rows_hash(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "ledger.sqlite")
    with Ledger(url) as ledger:
        ask(ledger, "paid")
        before = ledger.answers([begin("paid").use.request_key]).get(begin("paid").use.request_key)
        stored = _hashes(ledger)
    make_older(url, 3)
    with Ledger(url) as ledger:
        assert ledger.answers([begin("paid").use.request_key]).get(begin("paid").use.request_key) == before
        hashed = _hashes(ledger)
        assert [row.stored for row in hashed] == [row.stored for row in stored]
        assert all(row.stored == row.computed for row in hashed)
        assert traits_of(ledger.engine, IDENTITY) == {"structured": "off"}


def _hashes(ledger: Ledger) -> list[HashedRow]:
    with ledger.engine.connect() as connection:
        return [row for table in HISTORY for row in hashed_rows(connection, table)]


@pytest.mark.parametrize(
    ("column", "index"), [("request_key", "attempts_of_question"), ("batch_id", "attempts_of_batch")]
)
def test_attempts_are_found_without_reading_all_of_them(tmp_path: Path, column: str, index: str) -> None:
    with open_database(sqlite_url(tmp_path / "ledger.sqlite")).connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN SELECT * FROM attempts WHERE {column} = ?", ("x",))
        assert f"USING INDEX {index}" in " ".join(row.detail for row in plan)


_INDEXES = {"attempts_of_question", "attempts_of_batch"}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"f_flag": os.ST_RDONLY}, "lies in a file system that can only be read"),
        ({"f_bavail": 3}, "lies on a disk that is full"),
    ],
)
def test_a_ledger_beside_which_nothing_can_be_written_is_not_called_damaged(
    found: dict[str, int], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sqlite_url(tmp_path / "ledger.sqlite")
    open_database(url).dispose()
    space = SimpleNamespace(f_flag=0, f_bavail=10**9, f_frsize=1)
    monkeypatch.setattr("os.statvfs", lambda _: SimpleNamespace(**{**vars(space), **found}))
    refusal = OperationalError("pragma", {}, sqlite3.OperationalError("unable to open database file"))
    with pytest.raises(LedgerError, match=f"for {tmp_path} {said}, and SQLite writes beside"), naming_ledger(url):
        raise refusal
    monkeypatch.setattr("os.statvfs", lambda _: space)
    with pytest.raises(LedgerError, match="damaged"), naming_ledger(url):
        raise refusal
