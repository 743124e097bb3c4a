"""A store that release 0.1.0 made opens, is whole, and is not paid for again."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.seeds import seed_instructions
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.store.integrity import verify_storage
from tests.support.project import Project

WEEK = "2026-11-02"
ADDRESS = "http://127.0.0.1:18765/v1"
"""Where 0.1.0 asked. Nobody listens there."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The data folder of a week's generation with its answers: expert, reviewer and instructor behind an endpoint."""
    with tarfile.open(Path(__file__).parent / "store_0.1.0.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TEAMS_SEEDS", str(tmp_path / "seeds.jsonl"))
    for role in ("EXPERT", "REVIEWER", "INSTRUCTOR"):
        monkeypatch.setenv(f"TEAMS_{role}_MODEL", "served")
        monkeypatch.setenv(f"TEAMS_{role}_BASE_URL", ADDRESS)
    for role in ("GUIDE", "JUDGE"):
        monkeypatch.setenv(f"TEAMS_{role}_PROVIDER", "offline")
    return Project(tmp_path / "data")


def test_it_opens_and_is_as_it_was_written(project: Project) -> None:
    asked = project.calls
    assert asked > 0
    found = verify_storage(sqlite_url(project.store.root / "ledger.sqlite"), project.store.root, [])
    assert found.differing == 0, found.differences


def test_making_it_again_sends_no_query(project: Project) -> None:
    before, version = project.calls, project.version("expert_responses", WEEK)
    assert project.make(seed_instructions)
    assert project.make(generated_instructions, expert_responses, week=WEEK, generated_instructions={"seeds": 6})
    assert project.calls == before
    assert project.version("expert_responses", WEEK) == version
