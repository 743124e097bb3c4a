"""Group commit: what is released is durable, and one bad row fails only its own caller."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from teams_dagster.core.row_hash import row_hash
from teams_dagster.ledger.budgets import Spent
from teams_dagster.ledger.database import LedgerError, sqlite_url, write_transaction
from teams_dagster.ledger.entries import Release
from teams_dagster.ledger.writer import Ledger
from tests.support import postgres
from tests.support.entries import ask, ask_in_vain, begin, failure, intend, settle


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger(sqlite_url(path)) as opened:
        yield opened


def count(path: Path, table: str) -> int:
    with sqlite3.connect(path) as connection:
        return connection.execute(f"select count(*) from {table}").fetchone()[0]


def test_what_is_released_can_be_read_by_another_process(ledger: Ledger, path: Path) -> None:
    ask(ledger, *"abcde")
    assert [count(path, table) for table in ("questions", "attempts", "results", "answers", "uses")] == [5] * 5


def test_many_callers_share_a_commit(ledger: Ledger) -> None:
    commits: list[object] = []
    event.listen(ledger.engine, "commit", commits.append)
    ask(ledger, *[str(i) for i in range(200)])
    assert len(commits) < 100


def test_others_may_write_while_rows_are_made(ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free: list[bool] = []

    def hashed(table: str, row: Mapping[str, Any]) -> str:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
                free.append(True)
            except sqlite3.OperationalError:
                free.append(False)
        return row_hash(table, row)

    monkeypatch.setattr("teams_dagster.ledger.rows.row_hash", hashed)
    ask(ledger, "a", "b")
    assert set(free) == {True}


def test_the_rows_of_a_crowd_are_written_in_few_statements(ledger: Ledger, path: Path) -> None:
    """SQLite's driver gives the interpreter up in each, and waits for it beside a busy event loop."""
    run: list[str] = []

    @event.listens_for(ledger.engine, "begin")
    def trace(connection: sa.Connection) -> None:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.set_trace_callback(run.append)

    ask(ledger, *[str(number) for number in range(200)])
    assert count(path, "answers") == 200
    assert sum("INSERT" in statement for statement in run) < 200


def test_a_bad_row_fails_only_its_own_caller(ledger: Ledger, path: Path) -> None:
    async def crowd() -> list[object]:
        good = [begin(str(i)) for i in range(20)]
        twice = begin("again")
        same_attempt = replace(begin("other"), attempt=twice.attempt)
        return await asyncio.gather(
            *[ledger.write(each) for each in (*good, twice, same_attempt)], return_exceptions=True
        )

    results = asyncio.run(crowd())
    assert [type(result) for result in results] == [type(None)] * 21 + [LedgerError]
    assert count(path, "attempts") == 21


def test_the_first_of_two_answers_stays_and_both_payments_are_on_the_ledger(path: Path) -> None:
    """A claim can be lost while its owner still asks: a machine that slept longer than its lease."""
    with Ledger(sqlite_url(path)) as ours, Ledger(sqlite_url(path)) as theirs:
        first, second = begin("q", run_id="run-1"), begin("q", run_id="run-2")

        async def race() -> tuple:
            assert await ours.write(first) is None
            await ours.write(Release(first.use.request_key))
            assert await theirs.write(second) is None
            return await theirs.write(settle(second, "theirs")), await ours.write(settle(first, "ours"))

        winner, ours_became = asyncio.run(race())
        assert winner == ours_became
        assert ours.answers([first.use.request_key]).get(first.use.request_key) == winner
    with sqlite3.connect(path) as connection:
        uses = connection.execute("select run_id, request_id, reused from uses order by run_id").fetchall()
    assert uses == [("run-1", second.attempt.request_id, 1), ("run-2", second.attempt.request_id, 0)]
    assert count(path, "results") == 2


def test_nobody_is_told_that_something_is_durable_which_the_disk_did_not_take(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = [intend(ledger, text) for text in "abc"]

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def crowd() -> list[object]:
        return await asyncio.gather(*(ledger.write(settle(each)) for each in begun), return_exceptions=True)

    monkeypatch.setattr("teams_dagster.ledger.write_ahead_log._sync", full)
    assert [type(answer) for answer in asyncio.run(crowd())] == [LedgerError] * 3


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], None]:
    """`flaky(times, done)`: so many commits fail for a broken connection, the transaction being done or not."""
    failures: list[bool] = []

    @contextmanager
    def breaking(engine: sa.Engine) -> Iterator[sa.Connection]:
        done = failures.pop() if failures else None
        with write_transaction(engine) as connection:
            yield connection
            if done is False:
                raise _broken()
        if done:
            raise _broken()

    monkeypatch.setattr("teams_dagster.ledger.writer.write_transaction", breaking)
    monkeypatch.setattr("teams_dagster.ledger.writer._FIRST_PAUSE_S", 0.01)
    return lambda times, done: failures.extend([done] * times)


def _broken() -> OperationalError:
    locked = sqlite3.OperationalError("database is locked")
    locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return OperationalError("COMMIT", {}, locked)


@pytest.mark.parametrize("done", [True, False])
def test_a_commit_of_unknown_fate_is_tried_again_and_is_on_the_ledger_once(
    ledger: Ledger, path: Path, flaky: Callable[[int, bool], None], caplog: pytest.LogCaptureFixture, done: bool
) -> None:
    flaky(2, done)
    begun = intend(ledger, "q")
    flaky(2, done)
    stored = asyncio.run(ledger.write(settle(begun, "paid")))
    assert stored.completion.text == "paid"
    failed = intend(ledger, "in vain")
    flaky(1, done)
    asyncio.run(ledger.write(failure(failed)[0]))
    assert [count(path, table) for table in ("attempts", "results", "answers", "uses")] == [2, 2, 1, 1]
    assert ledger.spent() == Spent(queries=1, tokens=15, nano_usd=7)
    assert len(caplog.messages) == 3


@pytest.mark.postgres
@pytest.mark.skipif(postgres.programs() is None, reason="no PostgreSQL server (Debian: apt install postgresql)")
def test_a_connection_that_the_server_cuts_costs_nobody_an_entry(caplog: pytest.LogCaptureFixture) -> None:
    with postgres.cluster() as url, Ledger(url) as ledger:

        @event.listens_for(ledger.engine, "commit", once=True)
        def cut(connection: sa.Connection) -> None:
            mine = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            with ledger.engine.connect() as other:
                other.exec_driver_sql(f"SELECT pg_terminate_backend({mine}, 5000)")

        ask(ledger, *"abc")
        assert ledger.spent() == Spent(queries=3, tokens=45, nano_usd=21)
    assert "is away" in caplog.text


def test_a_ledger_that_stays_away_fails_its_callers_at_last(
    ledger: Ledger, path: Path, flaky: Callable[[int, bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teams_dagster.ledger.writer.AWAY_S", 0.1)
    flaky(100, False)
    with pytest.raises(LedgerError, match="locked"):
        intend(ledger, "q")
    assert count(path, "attempts") == 0


def test_a_ledger_that_stays_away_fails_a_crowd_at_last(
    ledger: Ledger, flaky: Callable[[int, bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crowd() -> list[object]:
        return await asyncio.gather(*(ledger.write(begin(text)) for text in "abcdef"), return_exceptions=True)

    monkeypatch.setattr("teams_dagster.ledger.writer.AWAY_S", 0.0)
    flaky(10, False)
    assert [type(answer) for answer in asyncio.run(asyncio.wait_for(crowd(), 10))] == [LedgerError] * 6


def test_a_failed_first_commit_leaves_the_lease_to_the_next(
    ledger: Ledger, path: Path, flaky: Callable[[int, bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teams_dagster.ledger.writer.AWAY_S", 0.0)
    flaky(1, False)
    with pytest.raises(LedgerError):
        intend(ledger, "q")
    intend(ledger, "another")
    assert count(path, "owners") == 1


def test_an_attempt_that_failed_has_no_answer(ledger: Ledger, path: Path) -> None:
    begun = intend(ledger, "q")
    asyncio.run(ledger.write(failure(begun)[0]))
    with pytest.raises(LedgerError, match="as failed"):
        asyncio.run(ledger.write(settle(begun)))
    assert count(path, "answers") == 0


def test_an_intent_without_a_result_stays_visible(ledger: Ledger, path: Path) -> None:
    intend(ledger, "q")
    assert (count(path, "attempts"), count(path, "results")) == (1, 0)


def test_threads_and_event_loops_share_a_ledger(ledger: Ledger, path: Path) -> None:
    threads = [threading.Thread(target=ask, args=(ledger, *[f"{n}-{i}" for i in range(50)])) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(path, "answers") == 200


def test_a_failed_question_that_is_answered_later_has_both_rows(ledger: Ledger, path: Path) -> None:
    ask_in_vain(ledger, "q")
    ask(ledger, "q")
    with sqlite3.connect(path) as connection:
        found = connection.execute("select answered, outcome from uses order by seq").fetchall()
    assert found == [(0, "failed"), (1, "usable")]


def test_a_closed_ledger_says_so(path: Path) -> None:
    ledger = Ledger(sqlite_url(path))
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        intend(ledger, "q")


def test_closing_writes_what_is_pending(path: Path) -> None:
    ledger = Ledger(sqlite_url(path))

    async def leave() -> None:
        asyncio.ensure_future(ledger.write(begin("q")))  # noqa: RUF006
        await asyncio.sleep(0)

    asyncio.run(leave())
    ledger.close()
    assert count(path, "attempts") == 1
