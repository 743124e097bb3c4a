"""`teams clean`: says first, removes when told to, and never while a run is under way."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from teams_dagster.cli import main
from teams_dagster.store import cleaning
from teams_dagster.store.artefact_store import ArtefactStore
from tests.support.weeks import Weeks

MODEL = {"model/adapter_model.safetensors": b"w" * 2_000_000, "model/README.md": b"card"}


def clean(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["clean", *arguments])


@pytest.fixture
def weeks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weeks:
    """An adapter that was superseded a year ago, and the one of now."""
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    weeks = Weeks(tmp_path)
    for version in ("old", "new"):
        weeks.write("lora_model", version, files=MODEL, made_on="2025-11-02")
    return weeks


@pytest.fixture
def instance(weeks: Weeks, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    clean()  # makes DAGSTER_HOME
    with dg.DagsterInstance.get() as opened:
        yield opened


def weights(weeks: Weeks) -> int:
    return len(list(weeks.store.root.rglob("*.safetensors")))


def test_without_yes_it_is_only_said_what_would_go(weeks: Weeks) -> None:
    result = clean()
    assert result.exit_code == 0, result.output
    assert "2.0 MB in 1 place could go; nothing was removed" in result.output
    assert "weights of 2025-11-02, superseded" in result.output
    assert weights(weeks) == 2


def test_with_yes_it_goes(weeks: Weeks) -> None:
    assert "2.0 MB in 1 place removed" in clean("--yes").output
    assert weights(weeks) == 1
    assert "0.0 MB in 0 places could go" in clean().output


def test_what_was_removed_is_said_beside_what_was_left(weeks: Weeks) -> None:
    weeks.write("qlora_model", "old", files=MODEL, made_on="2025-11-02")
    weeks.write("qlora_model", "new", files=MODEL, made_on="2025-11-02")
    with weeks.store.turn("qlora_model"):
        result = clean("--yes")
    assert result.exit_code == 1
    assert "2.0 MB in 1 place removed" in result.output
    assert "1 of 2 could not be removed, for example assets/qlora_model/" in result.output
    assert "another process is writing beside it" in result.output


def test_nothing_goes_while_a_run_is_under_way(weeks: Weeks, instance: dg.DagsterInstance) -> None:
    instance.add_run(dg.DagsterRun(job_name="regenerate", status=dg.DagsterRunStatus.STARTED))
    result = clean("--yes")
    assert result.exit_code == 1
    assert "of regenerate is under way" in result.output
    assert weights(weeks) == 2


def test_logs_of_old_runs_go_and_of_young_ones_stay(weeks: Weeks, instance: dg.DagsterInstance) -> None:
    places = []
    for name in ("old", "young"):
        run = instance.add_run(dg.DagsterRun(job_name=name, status=dg.DagsterRunStatus.SUCCESS))
        places.append(Path(instance.storage_directory()) / run.run_id / "compute_logs")
        places[-1].mkdir(parents=True)
        (places[-1] / "step.out").write_text("printed")
        for path in (places[-1] / "step.out", places[-1]):
            os.utime(path, (0, 0))
    made_long_ago(weeks, "old")
    assert "logs of a run of old" in clean("--yes").output
    assert [place.is_dir() for place in places] == [False, True]


def made_long_ago(weeks: Weeks, job_name: str) -> None:
    """Have the runs of a job have ended a year ago."""
    with sqlite3.connect(weeks.store.root / "dagster" / "history" / "runs.db") as history:
        history.execute("update runs set update_timestamp = '2025-11-02 03:00:00' where pipeline_name = ?", (job_name,))


def test_logs_that_a_process_of_an_ended_run_still_writes_stay(weeks: Weeks, instance: dg.DagsterInstance) -> None:
    run = instance.add_run(dg.DagsterRun(job_name="given_up", status=dg.DagsterRunStatus.CANCELED))
    place = Path(instance.storage_directory()) / run.run_id / "compute_logs"
    place.mkdir(parents=True)
    (place / "step.out").write_text("printed now")
    made_long_ago(weeks, "given_up")
    clean("--yes")
    assert place.is_dir()


def test_a_run_that_begins_after_the_listing_stops_the_removing(
    weeks: Weeks, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listing itself is what a run can begin in: it is done, and then one is launched."""

    def list_and_launch(store: ArtefactStore, before: datetime) -> list[cleaning.Removal]:
        found = listed(store, before)
        instance.add_run(dg.DagsterRun(job_name="regenerate", status=dg.DagsterRunStatus.STARTED))
        return found

    listed = cleaning.removals
    monkeypatch.setattr(cleaning, "removals", list_and_launch)
    assert "of regenerate is under way" in clean("--yes").output
    assert weights(weeks) == 2
