"""What tests of the assets share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from tests.support.project import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    project = Project(tmp_path)
    assert project.make(seed_instructions, trained_policy)
    return project
