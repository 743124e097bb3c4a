"""The account: what was asked and paid, in groups."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import event

from teams_dagster.ledger.costs import costs_by, total_cost
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.report.costs import GROUPED_BY, read_account
from teams_dagster.store.artefact_store import ArtefactStore
from tests.support.entries import ask


def test_the_account_reads_the_ledger_once_however_many_groups_it_has(tmp_path: Path) -> None:
    read = list[str]()
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as ledger:
        assert read_account(ledger, ArtefactStore(str(tmp_path))).total == total_cost(ledger)
        ask(ledger, "a", "b", asset="trained_policy")
        ask(ledger, "a", "c", asset="expert_responses")
        expected = {columns: costs_by(ledger, columns.split(", ")) for columns in GROUPED_BY}
        whole = total_cost(ledger)
        event.listen(ledger.engine, "checkout", lambda connection, *_: connection.set_trace_callback(read.append))
        account = read_account(ledger, ArtefactStore(str(tmp_path)))
    assert (account.total, account.groups) == (whole, expected)
    assert sum("results" in statement for statement in read) == 1
