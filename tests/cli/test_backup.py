"""`teams backup` and `teams restore`: a ledger that is gone stops everything, and comes back with its budget."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assets.policy.trained_policy import trained_policy
from teams_dagster.cli import main
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from tests.support.entries import ask
from tests.support.project import Project
from tests.support.stores import seeded_store


def teams(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with seeds and three questions, sealed and recorded in Dagster's history there."""
    data = Path(shutil.copytree(seeded_store(tmp_path_factory), tmp_path_factory.mktemp("sealed") / "data"))
    with pytest.MonkeyPatch.context() as settings:
        settings.setenv("TEAMS_DATA_DIR", str(data))
        settings.delenv("DAGSTER_HOME", raising=False)
        put_on_the_ledger(data, "a", "b", "c")
    return data


@pytest.fixture
def data(sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same for one test."""
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TEAMS_BUDGET_QUERIES", "10")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return Path(shutil.copytree(sealed, tmp_path / "data"))


def put_on_the_ledger(data: Path, *texts: str) -> None:
    with Ledger(sqlite_url(data / "ledger.sqlite")) as ledger:
        ask(ledger, *texts)
    teams("lineage", "no such sample")  # brings the read model up to date, and records the chain's head


def test_a_lost_ledger_stops_every_command_until_it_is_restored(data: Path, tmp_path: Path) -> None:
    backup = str(tmp_path / "backup")
    assert "3 queries, 1 outputs" in teams("backup", backup).output
    (data / "ledger.sqlite").unlink()
    for command in (["costs"], ["demo"], ["estimate"], ["lineage", "0123456789"]):
        refused = teams(*command)
        assert (refused.exit_code, "teams restore BACKUP" in refused.output) == (1, True), refused.output
    assert not (data / "ledger.sqlite").exists()
    restored = teams("restore", backup)
    assert "budget: 3 of 10 queries may have been billed, 7 left" in restored.output
    assert "total: 3 queries" in teams("costs").output


def test_a_run_stops_too(data: Path) -> None:
    (data / "ledger.sqlite").unlink()
    project = Project(data)
    assert not project.make(trained_policy)
    (failure,) = project.last.get_step_failure_events()
    assert "teams restore BACKUP" in failure.step_failure_data.error_display_string
    assert not (data / "ledger.sqlite").exists()


def test_what_was_asked_after_the_backup_is_said_to_be_missing(data: Path, tmp_path: Path) -> None:
    teams("backup", str(tmp_path / "backup"))
    put_on_the_ledger(data, "d")
    (data / "ledger.sqlite").unlink()
    assert "older than the last 1 records of the chain" in teams("restore", str(tmp_path / "backup")).output


def test_a_project_is_restored_into_a_new_folder(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teams("backup", str(tmp_path / "backup"))
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "new"))
    restored = teams("restore", str(tmp_path / "backup"))
    assert restored.exit_code == 0, restored.output
    assert Project(tmp_path / "new").version("seed_instructions") == Project(data).version("seed_instructions")
    assert (tmp_path / "new" / "teams.duckdb").is_file()


def test_nothing_is_restored_from_a_backup_that_was_changed(data: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    teams("backup", str(backup))
    (data / "ledger.sqlite").unlink()
    (table,) = backup.rglob("seeds.parquet")
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    refused = teams("restore", str(backup))
    assert refused.exit_code == 1
    assert "nothing was restored: 1 differences" in refused.output
    assert not (data / "ledger.sqlite").exists()
