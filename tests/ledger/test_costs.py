"""What was asked and what it cost, from the ledger database."""

from __future__ import annotations

from pathlib import Path

import pytest

from teams_dagster.ledger.costs import Cost, costs_by, total_cost
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from tests.support.entries import ask, ask_in_vain, intend


def test_costs_are_told_apart_by_any_column(tmp_path: Path) -> None:
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as ledger:
        assert total_cost(ledger) == Cost({})
        ask(ledger, "a", "b", asset="trained_policy")
        ask(ledger, "a", "b", "c", run_id="run-2", asset="expert_responses")
        ask_in_vain(ledger, "d")
        ask(ledger, "d")
        intend(ledger, "e")
        assert costs_by(ledger, ["asset_key"]) == [
            Cost({"asset_key": "asset"}, 1, 0, 3, 1, 1, 1, 10, 2, 5, 7),
            Cost({"asset_key": "expert_responses"}, 3, 2, 1, 1, 0, 0, 10, 2, 5, 7),
            Cost({"asset_key": "trained_policy"}, 2, 0, 2, 2, 0, 0, 20, 4, 10, 14),
        ]
        assert costs_by(ledger, ["operation", "run_id"])[0].group == {"operation": None, "run_id": "run-1"}
        whole = total_cost(ledger)
        assert (whole.asked, whole.reused, whole.calls, whole.cost_nano_usd) == (6, 2, 6, 28)


def test_a_column_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as ledger, pytest.raises(ValueError, match="colour"):
        costs_by(ledger, ["colour"])
