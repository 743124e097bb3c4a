"""What tests of the assets share."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from tests.support.project import Project

WEEK = "2026-11-02"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which a policy was trained, made once; tests work on copies."""
    return _made_in(tmp_path_factory.mktemp("trained"), seed_instructions, trained_policy)


@pytest.fixture(scope="session")
def generated(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a generation of `WEEK` and its answers, made once; tests work on copies."""
    folder = tmp_path_factory.mktemp("generated")
    shutil.copytree(trained, folder, dirs_exist_ok=True)
    return _made_in(folder, generated_instructions, expert_responses, week=WEEK)


def _made_in(folder: Path, *assets: dg.AssetsDefinition, week: str | None = None) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEAMS_DATA_DIR", str(folder))
        patch.setenv("TEAMS_PREFLIGHT", "off")
        assert Project(folder).make(*assets, week=week)
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of its own with a trained policy; Dagster's instance is new and knows of nothing."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    return Project(tmp_path)


@pytest.fixture
def answered(generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of its own with a trained policy, a generation of `WEEK` and its answers."""
    shutil.copytree(generated, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    return Project(tmp_path)
