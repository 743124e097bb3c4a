"""What tests of the assets share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from tests.support.project import Project


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which a policy was trained, made once; tests work on copies."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEAMS_DATA_DIR", str(folder))
        patch.setenv("TEAMS_PREFLIGHT", "off")
        assert Project(folder).make(seed_instructions, trained_policy)
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of its own with a trained policy; Dagster's instance is new and knows of nothing."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    return Project(tmp_path)
