"""Somebody's SQL session holds `teams.duckdb` open for writing as long as they like: no run stops, no row is lost."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from assets.accounting.query_costs import query_costs
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from teams_dagster.definitions import definitions
from teams_dagster.settings import find_root, load_settings
from teams_dagster.store.read_model import UP_TO_DATE
from tests.support.processes import until
from tests.support.project import Project
from tests.support.workers import Crew, hold_open

WEEK = "2026-11-02"

MADE = {"seed_instructions", "trained_policy", "generated_instructions", "expert_responses", "instruction_dataset"}


@pytest.mark.slow
def test_a_generation_is_made_checked_and_accounted_for_while_somebody_writes_to_the_read_model(
    project: Project, tmp_path: Path
) -> None:
    assert project.ledger.refresh(project.instance).published  # a store that was copied has its read model made anew
    with Crew(tmp_path) as crew:
        holder = crew.start(hold_open, project.ledger.read_model)
        until(lambda: "held" in holder.lines)
        assert project.make(generated_instructions, expert_responses, week=WEEK, generated_instructions={"seeds": 40})
        assert project.make(instruction_dataset, query_costs)
        assert failed_checks() == []
        behind = project.ledger.refresh(project.instance)
        assert not behind.published
        assert "is open elsewhere" in behind.reason
        assert holder.alive
    assert project.ledger.refresh(project.instance).published
    assert project.ledger.refresh(project.instance).reason == UP_TO_DATE
    with duckdb.connect(project.ledger.read_model, read_only=True) as connection:
        assert connection.execute("select count(*) from llm_calls").fetchone() == (project.calls,)
        assert connection.execute("select count(*) > 0 from samples").fetchone() == (True,)
        assert connection.execute("select count(*) > 0 from notes").fetchone() == (True,), "their rows are kept too"


def failed_checks() -> list[str]:
    """Every check of what was made here is evaluated; the names of those that do not pass."""
    job = definitions(load_settings(find_root())).resolve_job_def("checks")
    result = job.execute_in_process(raise_on_error=False)
    found = {
        f"{check.asset_key.to_user_string()}: {check.check_name}": check
        for check in result.get_asset_check_evaluations()
    }
    assert {name.split(":")[0] for name in found} >= {"expert_responses", "instruction_dataset", "query_costs"}
    ran = {name: check for name, check in found.items() if "not_run" not in check.metadata}
    return [name for name, check in ran.items() if not check.passed and name.split(":")[0] in MADE]
