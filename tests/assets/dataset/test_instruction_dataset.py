"""The dataset as the graph makes it: its lineage is that of the ledger, and it leaves by `teams export`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from assets.columns import LINEAGE as COLUMN_LINEAGE
from assets.dataset.instruction_dataset import instruction_dataset
from teams_dagster.cli import main
from teams_dagster.dataset.card import CARD
from tests.support.project import Project

WEEKS = ("2026-11-02", "2026-11-09")


@pytest.fixture(scope="module")
def made(two_weeks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A dataset of two generations."""
    data = Path(shutil.copytree(two_weeks, tmp_path_factory.mktemp("data"), dirs_exist_ok=True))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TEAMS_DATA_DIR", str(data))
        project = Project(data)
        assert project.make(instruction_dataset), "reused: this project's event log is to know of it"
        project.ledger.refresh(project.instance)
        yield project


def teams(project: Project, *arguments: str) -> Result:
    return CliRunner(env={"TEAMS_DATA_DIR": str(project.store.root)}).invoke(main, arguments)


def test_the_lineage_is_that_of_the_read_model(made: Project) -> None:
    rows = pq.read_table(made.store.current("instruction_dataset").path("lineage.parquet")).to_pylist()
    with duckdb.connect(made.ledger.read_model, read_only=True) as connection:
        found = connection.execute(
            "select sample_id, list(operation order by hop), list(rewrite_request_id order by hop),"
            " sum(cost_nano_usd)::bigint, any_value(seed_id), any_value(partition_key)"
            " from sample_lineage semi join dataset_samples using (sample_id) group by sample_id"
        ).fetchall()
    columns = ("operations", "rewrite_request_ids", "cost_nano_usd", "seed_id", "partition_key")
    expected = {sample_id: dict(zip(columns, values, strict=True)) for sample_id, *values in found}
    assert {row["sample_id"]: {name: row[name] for name in columns} for row in rows} == expected


def test_the_lineage_has_a_row_for_each_example_of_every_week(made: Project) -> None:
    dataset = made.store.current("instruction_dataset")
    rows = pq.read_table(dataset.path("lineage.parquet"))
    assert rows.num_rows == sum(dataset.facts["examples"].values())
    assert set(rows["partition_key"].to_pylist()) == set(WEEKS)
    assert set(rows["dataset_version"].to_pylist()) == {dataset.data_version}


def test_the_materialisation_carries_the_column_lineage(made: Project) -> None:
    [event] = made.last.asset_materializations_for_node("instruction_dataset")
    lineage = event.metadata[COLUMN_LINEAGE]
    assert isinstance(lineage, dg.TableColumnLineageMetadataValue)
    assert "output" in lineage.column_lineage.deps_by_column


def test_an_export_is_valid_for_croissant_and_loads_by_its_card(
    made: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    mlcroissant, datasets = pytest.importorskip("mlcroissant"), pytest.importorskip("datasets")
    assert teams(made, "export", "--to", str(tmp_path / "out"), "--lineage").exit_code == 0
    issues = mlcroissant.Dataset(jsonld=str(tmp_path / "out" / "croissant.json")).metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    examples = made.store.current("instruction_dataset").facts["examples"]
    assert {split: len(rows) for split, rows in loaded.items()} == examples


def test_an_export_says_what_it_wrote(made: Project, tmp_path: Path) -> None:
    result = teams(made, "export", "--format", "chat", "--split", "train", "--to", str(tmp_path / "out"))
    assert f"{made.store.current('instruction_dataset').facts['examples']['train']} examples" in result.output
    assert result.output.split()[-3:] == ["README.md", "croissant.json", "train.chat.jsonl"]


def test_a_version_that_is_not_stored_is_named_with_those_that_are(made: Project, tmp_path: Path) -> None:
    version = made.version("instruction_dataset")
    assert teams(made, "export", "--version", version, "--to", str(tmp_path / "out")).exit_code == 0
    result = teams(made, "export", "--version", "abc", "--to", str(tmp_path / "other"))
    assert result.exit_code == 1
    assert f"there are: {version}" in result.output


def test_a_folder_that_holds_something_needs_force(made: Project, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert "--force" in teams(made, "export", "--to", str(tmp_path)).output
    assert teams(made, "export", "--to", str(tmp_path), "--force").exit_code == 0
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_dataset_without_its_facts_is_named_with_what_to_do(made: Project, tmp_path: Path) -> None:
    card = made.store.current("instruction_dataset").path(CARD)
    kept = card.read_bytes()
    card.unlink()
    try:
        result = teams(made, "export", "--to", str(tmp_path / "out"))
    finally:
        card.write_bytes(kept)
    assert result.exit_code == 1
    assert "make it again" in result.output
