"""The workflow that shows how the checks run in CI."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.support.commands import ROOT, unknown_commands

WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "teams.yml").read_text(encoding="utf-8"))
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]


def commands(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def action(job: str, name: str) -> list[dict[str, Any]]:
    return [step["with"] for step in JOBS[job]["steps"] if step.get("uses", "").startswith(f"actions/{name}@")]


@pytest.mark.parametrize("job", JOBS)
def test_every_command_exists(job: str) -> None:
    assert commands(job)
    assert unknown_commands("\n".join(commands(job))) == []


@pytest.mark.parametrize("job", JOBS)
def test_a_job_ends_in_time_and_may_write_nothing(job: str) -> None:
    assert 0 < JOBS[job]["timeout-minutes"] <= 60
    assert "permissions" not in JOBS[job]
    assert set(WORKFLOW["permissions"].values()) == {"read"}


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
