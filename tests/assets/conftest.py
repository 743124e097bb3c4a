"""What tests of the assets share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.stores import (
    few_seeds_store,
    few_seeds_trained_store,
    generated_store,
    seeded_store,
    trained_store,
    two_weeks_store,
)


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the shipped seeds, made once; tests work on copies."""
    return seeded_store(tmp_path_factory)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which a policy was trained, made once; tests work on copies."""
    return trained_store(tmp_path_factory)


@pytest.fixture(scope="session")
def few_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with few seeds, made once; tests work on copies."""
    return few_seeds_store(tmp_path_factory)


@pytest.fixture(scope="session")
def few_seeds_trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a policy trained on them, made once; tests work on copies."""
    return few_seeds_trained_store(tmp_path_factory)


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a generation of `WEEK` and its answers, made once; tests work on copies."""
    return generated_store(tmp_path_factory)


@pytest.fixture(scope="session")
def two_weeks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a policy, two answered generations and their dataset, made once; tests work on copies."""
    return two_weeks_store(tmp_path_factory)


@pytest.fixture
def untrained(seeded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of its own with seeds and no policy; Dagster's instance is new and knows of nothing."""
    return _copied(seeded, tmp_path, monkeypatch)


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of its own with a trained policy."""
    return _copied(trained, tmp_path, monkeypatch)


@pytest.fixture
def answered(generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of its own with a trained policy, a generation of `WEEK` and its answers."""
    return _copied(generated, tmp_path, monkeypatch)


def _copied(store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    shutil.copytree(store, folder, dirs_exist_ok=True)
    monkeypatch.setenv("TEAMS_DATA_DIR", str(folder))
    return Project(folder)
