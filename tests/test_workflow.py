"""The workflows: what a pull request must pass, and how asset checks run in CI."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.support.commands import ROOT, unknown_commands

WORKFLOWS: dict[str, dict[Any, Any]] = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
EVERY_JOB = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"]]
JOBS: dict[str, dict[str, Any]] = WORKFLOWS["teams"]["jobs"]


def commands(job: str, workflow: str = "teams") -> list[str]:
    return [step["run"] for step in WORKFLOWS[workflow]["jobs"][job]["steps"] if "run" in step]


def action(job: str, name: str) -> list[dict[str, Any]]:
    return [step["with"] for step in JOBS[job]["steps"] if step.get("uses", "").startswith(f"actions/{name}@")]


@pytest.mark.parametrize(("workflow", "job"), EVERY_JOB)
def test_every_command_exists(workflow: str, job: str) -> None:
    assert commands(job, workflow)
    assert unknown_commands("\n".join(commands(job, workflow))) == []


@pytest.mark.parametrize(("workflow", "job"), EVERY_JOB)
def test_a_job_ends_in_time_and_may_write_nothing(workflow: str, job: str) -> None:
    assert 0 < WORKFLOWS[workflow]["jobs"][job]["timeout-minutes"] <= 60
    assert "permissions" not in WORKFLOWS[workflow]["jobs"][job]
    assert set(WORKFLOWS[workflow]["permissions"].values()) == {"read"}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_runs_on_a_pull_request(workflow: str) -> None:
    assert "pull_request" in WORKFLOWS[workflow][True]  # YAML 1.1 reads the key `on` as true


def test_a_pull_request_is_linted_and_tested_and_no_test_is_skipped() -> None:
    assert commands("lint", "ci") == ["make lint"]
    assert commands("test", "ci")[-2:] == ["make test", "make test-slow"]
    assert WORKFLOWS["ci"]["jobs"]["test"]["env"] == {"EVERY_TEST_RUNS": "1"}


def test_the_checks_run_on_a_demo_and_on_a_store_that_is_downloaded() -> None:
    check = ".venv/bin/teams checks --junit checks.xml"
    assert commands("demo") == ["make demo", check]
    assert commands("store") == ["make setup", check]
    (uploaded,) = [given for given in action("demo", "upload-artifact") if given["name"] == "store"]
    (downloaded,) = action("store", "download-artifact")
    assert downloaded["name"] == uploaded["name"]
    assert downloaded["path"] == "${{ env.TEAMS_DATA_DIR }}"
    assert uploaded["path"].split() == ["data/assets", "data/ledger.sqlite"]


@pytest.mark.parametrize("job", JOBS)
def test_the_report_is_kept_when_a_check_fails(job: str) -> None:
    (step,) = [step for step in JOBS[job]["steps"] if step.get("with", {}).get("path") == "checks.xml"]
    assert step["if"] == "${{ !cancelled() }}"


@pytest.mark.parametrize("job", JOBS)
def test_packages_are_cached_by_their_versions(job: str) -> None:
    (python,) = action(job, "setup-python")
    assert python["cache"] == "pip"
    assert (ROOT / python["cache-dependency-path"]).is_file()
