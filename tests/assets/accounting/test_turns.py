"""Of two runs at once the one that publishes last has read what there is when it is its turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import dagster as dg
import pytest
from filelock import Timeout

from assets.accounting.query_costs import query_costs
from assets.accounting.report import report
from assets.accounting.sample_lineage import sample_lineage
from resources.ledger import LedgerConnection
from teams_dagster.core.files import locked
from teams_dagster.store.integrity import Verification
from tests.support.project import Project
from tests.support.weeks import Weeks


@pytest.mark.parametrize(
    ("asset", "reads"), [(report, "report_inputs"), (query_costs, "read_account"), (sample_lineage, "replays_of")]
)
def test_what_it_is_made_from_is_read_when_nobody_else_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asset: dg.AssetsDefinition, reads: str
) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    project, key, held = Project(tmp_path), asset.key.to_user_string(), list[bool]()
    Weeks(tmp_path).generation("2026-11-02", "a")

    def read(*_: Any) -> NoReturn:
        try:
            with locked(project.store.place(key) / ".lock", timeout_s=0):
                held.append(False)
        except Timeout:
            held.append(True)
        raise RuntimeError("read")

    monkeypatch.setattr(LedgerConnection, "refresh", lambda *_: None)
    monkeypatch.setattr(LedgerConnection, "verify", lambda *_, **__: Verification())
    monkeypatch.setattr(f"assets.accounting.{key}.{reads}", read)
    assert not project.make(asset)
    assert held == [True]
