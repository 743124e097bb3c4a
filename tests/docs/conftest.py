"""What tests of the pages share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.partitions import GENERATIONS
from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from tests.support.project import Project


@dataclass(frozen=True)
class Store:
    """A data folder with a small dataset."""

    data: Path
    sample_id: str


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """From seeds to a dataset, on the embedded rules, with this week's generation."""
    data = tmp_path_factory.mktemp("project") / "data"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TEAMS_DATA_DIR", str(data))
        project = Project(data)
        assert project.make(seed_instructions, trained_policy)
        week = GENERATIONS.get_last_partition_key()
        assert project.make(generated_instructions, expert_responses, week=week, generated_instructions={"seeds": 60})
        assert project.make(instruction_dataset)
        project.ledger.refresh(project.instance)
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
