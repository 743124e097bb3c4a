"""The same ledger on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from teams_dagster.ledger.costs import total_cost
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.read_model import refresh
from tests.support import postgres
from tests.support.entries import ask, ask_in_vain, intend

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(postgres.programs() is None, reason="no PostgreSQL server (Debian: apt install postgresql)"),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres.cluster() as address:
        yield address


@pytest.mark.slow
def test_processes_share_answers_and_the_read_model_follows_them(url: str, tmp_path: Path) -> None:
    model = tmp_path / "teams.duckdb"
    with Ledger(url) as ours, Ledger(url) as theirs:
        ask(ours, "a", "b")
        ask(theirs, "a", "c", run_id="run-2")
        ask_in_vain(ours, "d")
        intend(theirs, "e")
        assert refresh(url, [], model).rows["llm_calls"] == 5
        threads = [
            threading.Thread(
                target=ask,
                args=(ledger, *[f"{run_id} {i}" for i in range(300)]),
                kwargs={"run_id": run_id},
            )
            for ledger, run_id in ((ours, "run-3"), (theirs, "run-4"))
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            refresh(url, [], model)
        assert refresh(url, [], model).reason in ("published", "up to date")
        whole = total_cost(ours)
    assert (whole.asked, whole.reused, whole.calls, whole.ok, whole.failed, whole.unresolved) == (
        605,
        1,
        605,
        603,
        1,
        1,
    )
    with duckdb.connect(model, read_only=True) as connection:
        found = connection.execute(
            "select count(*), count(distinct request_id), count(*) filter (status = 'ok') from llm_calls"
        ).fetchone()
        assert found == (605, 605, 603)
        assert connection.execute("select count(*) from answers").fetchone() == (603,)
        assert connection.execute("select asked, reused, calls from cost_by_asset").fetchone() == (605, 1, 605)
