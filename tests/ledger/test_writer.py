"""Group commit: what is released is durable, and one bad row fails only its own caller."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from teams_dagster.ledger.database import LedgerError, sqlite_url
from teams_dagster.ledger.entries import Release
from teams_dagster.ledger.writer import Ledger
from tests.support.entries import ask, ask_in_vain, begin, intend, settle


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
        assert ours.answer(first.use.request_key) == winner
    with sqlite3.connect(path) as connection:
        uses = connection.execute("select run_id, request_id, reused from uses order by run_id").fetchall()
    assert uses == [("run-1", second.attempt.request_id, 1), ("run-2", second.attempt.request_id, 0)]
    assert count(path, "results") == 2


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
