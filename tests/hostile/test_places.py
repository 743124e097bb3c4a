"""Keys, ids, file names and texts as names of files, in SQL and in seed files: they lead nowhere else."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.instructions.seeds import load_seeds
from teams_dagster.lineage.trace import NotFound, trace
from teams_dagster.store import views
from teams_dagster.store.artefact_store import ArtefactMissing, ArtefactStore
from tests.support.hostile import NAMES, TEXTS, texts

KEYS = st.one_of(st.sampled_from(NAMES), st.text(), st.builds("../{}".format, st.text()))
ABOUT = {"inputs": {}, "config": {}, "run_id": "run", "code_version": "1", "made_at": "2026-01-05"}


@given(KEYS, st.one_of(st.none(), KEYS))
def test_no_key_leads_out_of_the_data_folder(asset_key: str, partition_key: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = ArtefactStore(data_dir=f"{folder}/data")
        try:
            with store.writing(asset_key, "print", partition_key, about=ABOUT) as draft:
                draft.finish("version", {})
        except (ValueError, OSError):  # the name is refused, or too long for a file system
            assert not any(path.name != "data" for path in Path(folder).iterdir())
            return
        made = store.current(asset_key, partition_key).folder
        parts = made.resolve().relative_to(Path(folder).resolve() / "data" / "assets").parts
        assert len(parts) == (2 if partition_key is None else 3)
        assert [path.name for path in Path(folder).iterdir()] == ["data"]


@pytest.mark.parametrize("name", NAMES)
def test_a_key_that_is_no_plain_name_is_refused_with_it(name: str, tmp_path: Path) -> None:
    store = ArtefactStore(data_dir=str(tmp_path))
    for place in ((name, None), ("seed_instructions", name)):
        with pytest.raises(ValueError, match="names no folder of the store"):
            store.place(*place)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pointer", ["../../elsewhere", "/etc", "..", "", "a/b"])
def test_a_pointer_that_was_changed_leads_nowhere_else(pointer: str, tmp_path: Path) -> None:
    store = ArtefactStore(data_dir=str(tmp_path))
    with store.writing("seed_instructions", "print", about=ABOUT) as draft:
        draft.finish("version", {})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "manifest.json").write_text("{}")
    (store.place("seed_instructions") / "current").write_text(pointer)
    with pytest.raises(ArtefactMissing, match="materialise it again"):
        store.current("seed_instructions")


@given(texts)
def test_a_seed_file_gives_hostile_texts_back_or_refuses_the_row_with_a_reason(text: str) -> None:
    rows = [{"instruction": text, "input": text}, {"instruction": "Name a tree.", "input": ""}]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seeds.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        found = load_seeds(path)
    assert "Name a tree." in [seed.instruction.text for seed in found.seeds]
    assert len(found.seeds) + len(found.refused) == 2


@pytest.mark.parametrize("name", TEXTS)
def test_csv_and_parquet_seeds_are_data_and_nothing_is_computed(name: str, tmp_path: Path) -> None:
    text = TEXTS[name].replace("\x00", "")
    with (tmp_path / "seeds.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([("instruction", "input"), (text, ""), ("Name a tree.", "")])
    pq.write_table(pa.table({"instruction": [text, "Name a tree."], "input": ["", ""]}), tmp_path / "seeds.parquet")
    for path in (tmp_path / "seeds.csv", tmp_path / "seeds.parquet"):
        found = load_seeds(path)
        assert len(found.seeds) + len(found.refused) == 2, path
        assert found.seeds[-1].instruction.text == "Name a tree."


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_an_id_of_sql_finds_nothing_and_drops_nothing(text: str, tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "teams.duckdb") as connection:
        views.create(connection)
        before = connection.execute("show tables").fetchall()
        with pytest.raises(NotFound):
            trace(connection, text)
        assert connection.execute("show tables").fetchall() == before
