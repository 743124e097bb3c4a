"""The seeds in the store: where they come from, and what is recorded and shown of them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from teams_dagster.core.metadata import Table
from teams_dagster.instructions.file_rows import SeedFileError
from teams_dagster.instructions.seeds import load_seeds, shipped_seeds_path
from teams_dagster.instructions.stored_seeds import (
    project_seeds,
    read_seeds,
    seed_sources,
    seeds_preview,
    write_seeds,
)
from teams_dagster.store.artefact_store import Artefact


def seed_file(folder: Path, *rows: dict[str, str]) -> Path:
    path = folder / "seeds.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


SUM = {"instruction": "Add the two numbers.", "input": "2 and 3", "output": "The sum is 5."}
POEM = {"instruction": "Write a poem about the sea in autumn.", "input": "", "output": "Grey waves, grey sky."}


def test_without_a_file_of_ones_own_the_shipped_seeds_are_read() -> None:
    assert seed_sources(None, []) == (shipped_seeds_path(), [])


def test_the_texts_of_every_evaluation_set_are_named_with_the_file(tmp_path: Path) -> None:
    path = seed_file(tmp_path, SUM)
    found, texts = seed_sources(path, [path, path])
    assert found == path
    assert len(texts) % 2 == 0
    assert texts[: len(texts) // 2] == texts[len(texts) // 2 :] != []


def test_a_file_that_cannot_be_read_is_told_with_the_setting_that_names_it(tmp_path: Path) -> None:
    broken = tmp_path / "mine.jsonl"
    broken.touch()
    with pytest.raises(SeedFileError, match=r"^TEAMS_SEEDS: mine\.jsonl: is empty"):
        project_seeds(broken, [])
    with pytest.raises(SeedFileError, match=r"^TEAMS_EVALUATION_SETS: mine\.jsonl: is empty"):
        seed_sources(None, [broken])


def test_what_is_stored_is_what_was_read_and_refused_rows_are_shown_with_their_reason(tmp_path: Path) -> None:
    library = load_seeds(seed_file(tmp_path, SUM, POEM, POEM), evaluation_texts=[])
    _, facts = write_seeds(tmp_path, library, "run-1")
    assert (facts.seeds, facts.refused, facts.with_input, facts.source) == (2, 1, 1, "seeds.jsonl")
    stored = Artefact(tmp_path)
    assert read_seeds(stored) == list(library.seeds)
    [refused] = pq.read_table(tmp_path / "refused_seeds.parquet").to_pylist()
    row = (refused["row"], refused["reason"], refused["detail"])
    assert seeds_preview(stored) == {"refused_rows": Table(("row", "reason", "detail"), [row])}


def test_where_no_row_was_refused_no_table_is_shown(tmp_path: Path) -> None:
    write_seeds(tmp_path, load_seeds(seed_file(tmp_path, SUM, POEM), evaluation_texts=[]), "run-1")
    assert seeds_preview(Artefact(tmp_path)) == {}
