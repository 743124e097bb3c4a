"""A full disk, a ledger that cannot be written and a clock that was set back are said before anything is paid for."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from assets.dataset.generated_instructions import generated_instructions
from assets.seeds import seed_instructions
from teams_dagster.ledger import room
from tests.support import served_rules
from tests.support.entries import begin
from tests.support.failures import why
from tests.support.openai_server import OpenAIServer
from tests.support.project import Project

WEEK = "2026-11-02"


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder that other users of this machine may look into, too."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def project(data: Path, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Project:
    openai_server.respond = served_rules.answer
    monkeypatch.setenv("TEAMS_DATA_DIR", str(data))
    for role in ("EXPERT", "REVIEWER", "INSTRUCTOR"):
        monkeypatch.setenv(f"TEAMS_{role}_MODEL", "served")
        monkeypatch.setenv(f"TEAMS_{role}_BASE_URL", openai_server.base_url)
        monkeypatch.setenv(f"TEAMS_{role}_STRUCTURED", "off")
    project = Project(data)
    assert project.make(seed_instructions)
    return project


def generate(project: Project) -> bool:
    return project.make(generated_instructions, week=WEEK, generated_instructions={"seeds": 1, "policy": "uniform"})


@contextmanager
def only_reading(folder: Path) -> Iterator[None]:
    """What lies in a folder cannot be written in the block, not even by the user who may everything."""
    files = [folder, *folder.rglob("*")]
    modes = {file: file.stat().st_mode for file in files}
    for file in files:
        file.chmod(0o555 if file.is_dir() else 0o444)
    mine = os.geteuid()
    try:
        if mine == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(mine)
        for file, mode in modes.items():
            file.chmod(mode)


def test_a_disk_that_is_too_full_is_said(
    project: Project, openai_server: OpenAIServer, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LEAST_BYTES", shutil.disk_usage(data).total + 1)
    assert not generate(project)
    assert why(project).startswith(f"TEAMS_DATA_DIR: the disk of {data} has ")
    assert openai_server.count == 0


def test_a_folder_that_cannot_be_written_is_said(project: Project, openai_server: OpenAIServer, data: Path) -> None:
    with project.ledger.open():
        pass
    with only_reading(data):
        made = generate(project)
    assert not made
    assert str(data) in why(project)
    assert openai_server.count == 0


def test_a_clock_that_was_set_back_is_said(project: Project) -> None:
    intent = begin("a")
    later = replace(intent.attempt, started_at=int(time.time() + 86_400) * 1_000_000)
    with project.ledger.open() as ledger:
        asyncio.run(ledger.write(replace(intent, attempt=later)))
    assert generate(project)
    said = [entry.message for entry in project.instance.all_logs(project.last.run_id)]
    assert any("the clock says" in line and "set the clock right before going on" in line for line in said)
