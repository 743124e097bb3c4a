"""A seed file that is new or changed is read and estimated, and nothing is asked for it."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from teams_dagster.automation.seed_files import read_changed_seeds
from teams_dagster.definitions import definitions
from teams_dagster.instructions.seeds import shipped_seeds_path
from teams_dagster.pricing.paid_assets import PAID
from teams_dagster.settings import load_settings
from tests.support.commands import ROOT
from tests.support.project import Project

ROWS = shipped_seeds_path().read_text(encoding="utf-8").splitlines()


@pytest.fixture
def seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(ROWS[:60]), encoding="utf-8")
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TEAMS_SEEDS", str(file))
    return file


@pytest.fixture
def project(seeds: Path) -> Project:
    return Project(seeds.parent / "data")


class Sensor:
    """`read_changed_seeds` with its cursor from tick to tick."""

    def __init__(self, project: Project) -> None:
        self.project, self.cursor = project, None
        self._keys: set[str] = set()

    def tick(self) -> list[str] | str:
        """The jobs that it launches, or why it launches none."""
        resources = {"store": self.project.store, "models": self.project.models}
        with dg.build_sensor_context(
            instance=self.project.instance, cursor=self.cursor, resources=resources
        ) as context:
            data = read_changed_seeds.evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        wanted = [request for request in data.run_requests or [] if request.run_key not in self._keys]
        self._keys |= {request.run_key for request in wanted if request.run_key is not None}  # Dagster's: each once
        return [str(request.job_name) for request in wanted] or str(data.skip_message)


def run(project: Project, job: str) -> dg.ExecuteInProcessResult:
    found = definitions(load_settings(ROOT)).resolve_job_def(job)
    return found.execute_in_process(instance=project.instance)


def test_a_changed_file_is_read_and_estimated_once_and_nothing_is_asked(project: Project, seeds: Path) -> None:
    sensor = Sensor(project)
    launched = sensor.tick()
    assert launched == ["read_seeds", "estimate_generation"]
    assert "launched already" in str(sensor.tick())
    for job in launched:
        assert run(project, job).success
    assert "is as seed_instructions read it" in str(sensor.tick())
    assert project.calls == 0
    seeds.write_text("\n".join(ROWS[:80]), encoding="utf-8")
    assert sensor.tick() == ["read_seeds", "estimate_generation"]


def test_a_file_that_comes_back_to_what_it_held_is_read_again(project: Project, seeds: Path) -> None:
    sensor = Sensor(project)
    for rows in (60, 80, 60):
        seeds.write_text("\n".join(ROWS[:rows]), encoding="utf-8")
        assert sensor.tick() == ["read_seeds", "estimate_generation"]
        assert run(project, "read_seeds").success
        assert "is as seed_instructions read it" in str(sensor.tick())


def test_a_change_that_was_taken_back_before_it_was_read_is_read_when_it_comes_again(
    project: Project, seeds: Path
) -> None:
    sensor = Sensor(project)
    assert run(project, "read_seeds").success
    for _ in range(2):
        seeds.write_text("\n".join(ROWS[:80]), encoding="utf-8")
        assert sensor.tick() == ["read_seeds", "estimate_generation"]
        seeds.write_text("\n".join(ROWS[:60]), encoding="utf-8")
        assert "is as seed_instructions read it" in str(sensor.tick())


def test_what_was_read_by_hand_in_between_is_known(project: Project, seeds: Path) -> None:
    sensor = Sensor(project)
    assert sensor.tick() == ["read_seeds", "estimate_generation"]
    seeds.write_text("\n".join(ROWS[:80]), encoding="utf-8")
    assert run(project, "read_seeds").success
    seeds.write_text("\n".join(ROWS[:60]), encoding="utf-8")
    assert sensor.tick() == ["read_seeds", "estimate_generation"]


def test_the_jobs_have_no_paid_asset() -> None:
    job = definitions(load_settings(ROOT)).resolve_job_def("read_seeds")
    keys = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert keys == {"seed_instructions"}
    assert keys.isdisjoint(PAID)


def test_the_estimate_is_among_the_events_of_the_seeds(project: Project) -> None:
    assert run(project, "estimate_generation").success
    [record] = project.instance.fetch_observations(dg.AssetKey("seed_instructions"), limit=5).records
    observed = record.asset_observation
    assert observed is not None
    assert "A generation that begins now: estimate:" in (observed.description or "")
    assert int(str(observed.metadata["queries"].value)) > 60


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("SEEDS", "nowhere.jsonl", "there is no such file"),
        ("MAX_IN_FLIGHT", "none", "TEAMS_MAX_IN_FLIGHT"),
    ],
)
def test_what_cannot_be_read_is_said(
    project: Project, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"TEAMS_{setting}", value)
    assert said in str(Sensor(project).tick())


def test_a_half_written_file_is_read_again_when_it_is_whole(project: Project, seeds: Path) -> None:
    sensor = Sensor(project)
    seeds.write_text(json.dumps({"instruction": "Half"}), encoding="utf-8")
    assert sensor.tick() == ["read_seeds", "estimate_generation"]
    seeds.write_text("\n".join(ROWS[:60]), encoding="utf-8")
    assert sensor.tick() == ["read_seeds", "estimate_generation"]
