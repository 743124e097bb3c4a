"""What tests of the pages share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from tests.support.stores import dataset_store


@dataclass(frozen=True)
class Store:
    """A data folder with a small dataset."""

    data: Path
    sample_id: str


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """From seeds to a dataset, on the embedded rules, with this week's generation."""
    data = dataset_store(tmp_path_factory)
    with duckdb.connect(data / "teams.duckdb", read_only=True) as connection:
        (sample_id,) = connection.execute("select min(sample_id) from samples").fetchone() or ("",)
    return Store(data, sample_id)


@pytest.fixture
def project_folder(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the store in `data`, as a reader of the pages has one."""
    (tmp_path / "data").symlink_to(store.data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEAMS_DATA_DIR", str(store.data))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path
