"""Two machines on one ledger that share their outputs in object storage: a line that one begins the other ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assets.accounting.query_costs import query_costs
from assets.accounting.sample_lineage import sample_lineage
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.seeds import seed_instructions
from teams_dagster.store.facts.accounting import LineageFacts
from tests.support.object_storage import URL
from tests.support.project import Project

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

WEEK = "2026-11-02"
STEERED = {"policy": "uniform", "seeds": 40}


@pytest.fixture
def machines(tmp_path: Path, storage: AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> tuple[Project, Project]:
    monkeypatch.setenv("TEAMS_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    one, other = (Project(tmp_path / name, shared=URL) for name in ("one", "other"))
    return one, other


@pytest.mark.slow
def test_what_one_machine_begins_another_ends_without_asking_again(machines: tuple[Project, Project]) -> None:
    one, other = machines
    assert one.make(seed_instructions)
    assert one.make(generated_instructions, week=WEEK, generated_instructions=STEERED)
    assert other.make(generated_instructions, expert_responses, week=WEEK, generated_instructions=STEERED)
    assert other.make(instruction_dataset, query_costs, sample_lineage)
    lineage = other.store.current("sample_lineage").read_facts(LineageFacts)
    assert lineage.rows_verified > 0
    assert lineage.not_verified == {}
    one.store.synchronise()
    assert one.version("instruction_dataset") == other.version("instruction_dataset")
    paid = one.calls
    assert one.make(generated_instructions, expert_responses, week=WEEK, generated_instructions=STEERED)
    assert one.make(instruction_dataset, sample_lineage)
    assert one.calls == paid
