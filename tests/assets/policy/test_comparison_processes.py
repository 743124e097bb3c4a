"""A comparison in processes of its own: the same comes out as in one, whatever happens to them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_shared.error import SerializableErrorInfo

import resources.language_models.side_by_side as side_by_side
import teams_dagster.policy.comparison.comparison_run as stage
import teams_dagster.policy.comparison.trainings as trainings
from assets.policy.policy_comparison import policy_comparison
from assets.policy.trained_policy import trained_policy
from resources.language_models.elsewhere import ProcessAsking
from resources.language_models.roles import LanguageModels
from resources.language_models.run_budgets import RunBudget
from resources.language_models.side_by_side import QUERIES_EACH, sharing
from teams_dagster.core.protocol import Purpose, Role
from teams_dagster.environment.recording import content_of
from teams_dagster.ledger.budgets import run_scope
from teams_dagster.ledger.costs import costs_by
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.policy.checkpoint import CHECKPOINT
from teams_dagster.policy.comparison.share import TRAININGS
from teams_dagster.policy.comparison.stored import read_policy_scores
from teams_dagster.pricing.forecast import QueryForecast
from tests.support.processes import die, ends
from tests.support.project import Project

pytestmark = pytest.mark.slow

WIDE = {
    "training_seeds": 2,
    "baselines": ["bandit", "table"],
    "ablations": ["text_noise"],
    "questions_per_seed": 12,
    "resamples": 200,
}

ROOT = Path(__file__).parents[3]

ON_TWO_CORES = """
import sys
from pathlib import Path

from tests.assets.policy.test_comparison_processes import train_on

train_on(2, Path(sys.argv[1]))
"""


def compare_on(processors: int, data: Path, budget: RunBudget | None = None) -> Project:
    """Compare in the project of `data`, on so many processors."""
    project = Project(data)
    if budget is not None:
        project.models = LanguageModels(root=project.models.root, ledger=project.ledger, budget=budget)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TEAMS_DATA_DIR", str(data))
        patched.setattr(side_by_side, "cores", lambda: processors)
        patched.setattr(side_by_side, "QUERIES_EACH", 1)
        project.make(policy_comparison, policy_comparison=WIDE)
    return project


def train_on(processors: int, data: Path) -> dict[str, bytes]:
    """Do the trainings of the same comparison, and stop; returns the policies."""

    async def stopped(*_: Any, **__: Any) -> None:
        raise RuntimeError("stopped on purpose")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stage, "compare", stopped)
        compared = compare_on(processors, data)
    assert "stopped on purpose" in str(failure_of(compared.last).cause)
    return policies_in(data)


def policies_in(data: Path) -> dict[str, bytes]:
    """What was trained for the comparison, by name."""
    return {path.parent.name: path.read_bytes() for path in data.rglob(f"{TRAININGS}/*/{CHECKPOINT}")}


def ledger_of(data: Path) -> Ledger:
    return Ledger(sqlite_url(data / "ledger.sqlite"))


def found(data: Path) -> dict[str, Any]:
    """All that a comparison leaves, without the names of its run and calls."""
    made = Project(data).store.current("policy_comparison")
    with ledger_of(data) as ledger:
        costs = costs_by(ledger, ["asset_key", "purpose"])
    assert costs
    return {
        "policies": policies_in(data),
        "transitions": content_of(made.path("transitions.parquet")),
        "instructions": content_of(made.path("instructions.parquet")),
        "scores": read_policy_scores(made),
        "version": made.data_version,
        "ledger": sorted((*cost.group.values(), cost.asked, cost.reused, cost.calls, cost.ok) for cost in costs),
    }


def failure_of(result: dg.ExecuteInProcessResult) -> SerializableErrorInfo:
    """The error that ended a step."""
    [failure] = result.get_step_failure_events()
    error = failure.step_failure_data.error
    assert error is not None
    return error


@pytest.fixture(scope="module")
def begun(few_seeds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a policy to compare."""
    data = Path(shutil.copytree(few_seeds, tmp_path_factory.mktemp("begun"), dirs_exist_ok=True))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TEAMS_DATA_DIR", str(data))
        assert Project(data).make(trained_policy, trained_policy={"iterations": 2})
    return data


@pytest.fixture
def data(begun: Path, tmp_path: Path) -> Path:
    """The same for one test."""
    return Path(shutil.copytree(begun, tmp_path / "data"))


@pytest.fixture(scope="module")
def alone(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process finds."""
    data = Path(shutil.copytree(begun, tmp_path_factory.mktemp("alone") / "data"))
    assert compare_on(1, data).last.success
    return found(data)


def test_several_processes_find_the_same_and_ask_each_question_once(
    alone: dict[str, Any], data: Path, capfd: pytest.CaptureFixture[str]
):
    assert compare_on(3, data).last.success
    assert found(data) == alone
    said = capfd.readouterr().err
    assert all(f"trained {name} with root seed 1" in said for name in ("trained", "text_noise"))
    assert all(f"searched {name} with root seed 1" in said for name in ("bandit", "table"))


def test_a_killed_comparison_takes_its_processes_along_and_goes_on_from_there(alone: dict[str, Any], data: Path):
    environment = {**os.environ, "TEAMS_DATA_DIR": str(data), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", ON_TWO_CORES, str(data)], env=environment, cwd=ROOT, stderr=subprocess.DEVNULL
    ) as program:
        deadline = time.monotonic() + 240
        while not policies_in(data):
            assert program.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline, "it trained nothing in four minutes"
            time.sleep(0.005)
        tasks = Path(f"/proc/{program.pid}/task").iterdir()
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
        program.kill()
    assert len(children) == 2
    assert all(ends(child) for child in children)
    assert train_on(1, data) == alone["policies"]


def test_a_budget_that_is_used_up_ends_the_step_as_it_does_in_one_process(data: Path):
    said = []
    for processors in (1, 2):
        stopped = compare_on(processors, data, RunBudget(queries=200)).last
        error = failure_of(stopped)
        said.append([what.message.replace(stopped.run_id, "RUN") for what in (error, error.cause) if what])
        with ledger_of(data) as ledger:
            assert ledger.spent(run_scope(stopped.run_id)).queries == 200
    assert said[0] == said[1]
    assert "Failure: the budget of the run RUN is used up" in said[0][0]


def test_a_process_that_was_killed_ends_the_step(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trainings, "train_elsewhere", die)
    assert "ended by SIGKILL" in str(failure_of(compare_on(2, data).last).cause)


def test_a_process_of_its_own_does_not_load_dagster():
    code = "import sys, teams_dagster.policy.comparison.searches; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def beside(*roles: Role, queries: int) -> ProcessAsking | None:
    """How processes ask `roles` on a machine of three processors, where so many queries are likely."""
    resources = {"models": Project(Path("unused")).models}
    expected = [QueryForecast(Role.REVIEWER, Purpose.REVIEW, 0, queries, queries, 100, 16)]
    with pytest.MonkeyPatch.context() as patched, dg.build_resources(resources) as opened:
        patched.setattr(side_by_side, "cores", lambda: 3)
        where = CallContext("run", "policy_comparison")
        return sharing(opened.models, where, *roles, expected=expected, log=print)


def processes(*roles: Role, queries: int = 10 * QUERIES_EACH) -> int:
    found = beside(*roles, queries=queries)
    return 1 if found is None else found.processes


def test_the_embedded_rules_are_asked_by_as_many_processes_as_there_are_processors():
    assert processes(Role.INSTRUCTOR, Role.REVIEWER) == 3


def test_few_queries_are_not_worth_a_process():
    assert processes(Role.REVIEWER, queries=2 * QUERIES_EACH - 1) == 1
    assert processes(Role.REVIEWER, queries=2 * QUERIES_EACH) == 2


def test_an_endpoint_is_asked_by_one_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEAMS_INSTRUCTOR_MODEL", "m")
    monkeypatch.setenv("TEAMS_INSTRUCTOR_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("TEAMS_REVIEWER_PROVIDER", "offline")
    assert processes(Role.REVIEWER) == 3
    assert processes(Role.INSTRUCTOR, Role.REVIEWER) == 1


@pytest.mark.parametrize("limit", ["RPM", "TPM"])
def test_rules_with_a_limit_a_minute_are_asked_by_one_process(monkeypatch: pytest.MonkeyPatch, limit: str):
    monkeypatch.setenv("TEAMS_REVIEWER_PROVIDER", "offline")
    monkeypatch.setenv(f"TEAMS_REVIEWER_{limit}", "60")
    assert processes(Role.REVIEWER) == 1


@pytest.mark.parametrize("wanted", [1, 2])
def test_what_is_set_is_what_asks(monkeypatch: pytest.MonkeyPatch, wanted: int):
    monkeypatch.setenv("TEAMS_WORKERS", str(wanted))
    assert processes(Role.REVIEWER) == wanted


def test_the_ledgers_password_is_not_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEAMS_LEDGER_URL", "postgresql://teams:secret@db/ledger")
    asking = beside(Role.REVIEWER, queries=10 * QUERIES_EACH)
    assert asking is not None
    assert "secret" not in repr(asking)
