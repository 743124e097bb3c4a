"""A question is asked by one at a time, whoever else wants it, and a dead owner stops nobody."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from teams_dagster.ledger import owners, schema
from teams_dagster.ledger.database import now, sqlite_url, write_transaction
from teams_dagster.ledger.entries import BeginAttempt, Claimed, Release
from teams_dagster.ledger.records import StoredAnswer
from teams_dagster.ledger.writer import Ledger
from tests.support.entries import begin, failure, settle
from tests.support.processes import until


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path / "ledger.sqlite")


@pytest.fixture
def ours(url: str) -> Iterator[Ledger]:
    with Ledger(url) as ledger:
        yield ledger


@pytest.fixture
def theirs(url: str) -> Iterator[Ledger]:
    with Ledger(url) as ledger:
        yield ledger


def write(ledger: Ledger, *entries) -> list:
    async def every() -> list:
        return [await ledger.write(entry) for entry in entries]

    return asyncio.run(every())


def count(ledger: Ledger, table: sa.Table) -> int:
    with ledger.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_the_loser_of_a_race_is_told_who_asks_and_writes_nothing(ours: Ledger, theirs: Ledger) -> None:
    assert write(ours, begin("q")) == [None]
    [lost] = write(theirs, begin("q", run_id="run-2"))
    assert isinstance(lost, Claimed)
    assert count(ours, schema.attempts) == 1


def test_the_loser_finds_the_winners_answer(ours: Ledger, theirs: Ledger) -> None:
    begun = begin("q")
    write(ours, begun)
    [stored] = write(ours, settle(begun, "won"))
    [found] = write(theirs, begin("q", run_id="run-2"))
    assert isinstance(found, StoredAnswer)
    assert found == stored
    assert count(ours, schema.claims) == 0


def test_a_question_that_failed_for_its_owner_may_be_asked_by_others(ours: Ledger, theirs: Ledger) -> None:
    begun = begin("q")
    write(ours, begun, *failure(begun))
    assert write(theirs, begin("q", run_id="run-2")) == [None]


def test_an_owner_keeps_its_claim_between_its_attempts(ours: Ledger, theirs: Ledger) -> None:
    first, again = begin("q"), _second_attempt("q")
    failed, _ = failure(first)
    write(ours, first, failed)
    assert isinstance(write(theirs, begin("q", run_id="run-2"))[0], Claimed)
    assert write(ours, again) == [None]


def test_what_is_released_or_closed_can_be_claimed(ours: Ledger, url: str) -> None:
    begun = begin("q")
    write(ours, begun, Release(begun.use.request_key))
    with Ledger(url) as theirs:
        assert write(theirs, begin("q", run_id="run-2")) == [None]
    assert write(ours, begin("q", run_id="run-3")) == [None]


def test_a_killed_owner_loses_its_claim_at_once(ours: Ledger, url: str) -> None:
    program = (
        "import asyncio, os, signal, sys\n"
        "from teams_dagster.ledger.writer import Ledger\n"
        "from tests.support.entries import begin\n"
        "asyncio.run(Ledger(sys.argv[1]).write(begin('q')))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", program, url], cwd=root, check=False, timeout=60)
    assert count(ours, schema.claims) == 1
    assert write(ours, begin("q", run_id="run-2")) == [None]


def test_an_owner_elsewhere_loses_its_claim_with_its_lease(ours: Ledger) -> None:
    begun = begin("q")
    with write_transaction(ours.engine) as connection:
        lease = now(connection) + 60_000_000
        connection.execute(sa.insert(schema.owners).values(owner="elsewhere/1/2/3", lease_until=lease))
        connection.execute(sa.insert(schema.claims).values(request_key=begun.use.request_key, owner="elsewhere/1/2/3"))
    assert write(ours, begun) == [Claimed("elsewhere/1/2/3")]
    with write_transaction(ours.engine) as connection:
        connection.execute(sa.update(schema.owners).values(lease_until=now(connection) - 1))
    assert write(ours, begun) == [None]


def test_a_living_owner_renews_its_lease_while_it_writes_nothing(
    ours: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teams_dagster.ledger.writer.RENEW_EVERY_S", 0.05)
    with Ledger(url) as theirs:
        write(theirs, begin("q"))
        before = _lease(ours)
        until(lambda: _lease(ours) > before)


def test_a_process_number_that_was_given_again_is_another_owner() -> None:
    machine, process, _, name = owners.new_owner().split("/")
    assert not owners.is_dead(owners.new_owner(), 10, 5)
    assert owners.is_dead(f"{machine}/{process}/1/{name}", 10, 5)
    assert not owners.is_dead(f"another machine/{process}/1/{name}", 10, 5)
    assert not owners.is_dead(owners.batch_owner("b"), None, 5)


def test_a_process_that_visibly_lives_is_not_dead_whatever_its_lease_says() -> None:
    here = owners.new_owner()
    assert not owners.is_dead(here, 1, 10**18)
    assert owners.is_dead(here.replace("/", "-elsewhere/", 1), 1, 10**18)


def test_a_process_that_comes_does_not_end_the_claims_of_one_that_lives(ours: Ledger, url: str) -> None:
    """A laptop that slept for an hour: every lease is long over when it wakes."""
    begun = begin("q")
    write(ours, begun)
    with write_transaction(ours.engine) as connection:
        connection.execute(sa.update(schema.owners).values(lease_until=1))
        connection.execute(sa.insert(schema.owners).values(owner="elsewhere/1/2/3", lease_until=1))
    with Ledger(url) as theirs:
        assert write(theirs, begin("other")) == [None]
        assert write(theirs, begun) == [Claimed(ours.owner)]
        assert count(ours, schema.owners) == 2


def _second_attempt(text: str) -> BeginAttempt:
    first = begin(text)
    return replace(first, attempt=replace(first.attempt, attempt=2))


def _lease(ledger: Ledger) -> int:
    with ledger.engine.connect() as connection:
        return connection.execute(sa.select(schema.owners.c.lease_until)).scalar_one()
