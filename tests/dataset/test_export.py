from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from teams_dagster.core.instruction import Instruction, user_message
from teams_dagster.dataset import export
from teams_dagster.dataset.export import export_dataset
from teams_dagster.dataset.formats import Format
from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.seed_splits import Split
from tests.support.datasets import HOSTILE, ROWS

SPLITS: dict[Split, tuple[Example, ...]] = {**ROWS, "held_out": ()}

AS_ROWS: dict[Format, Callable[[Example], dict[str, Any]]] = {
    Format.ALPACA: lambda e: {"instruction": e.instruction.text, "input": e.instruction.input, "output": e.response},
    Format.SHAREGPT: lambda e: {
        "conversations": [
            {"from": "human", "value": user_message(e.instruction)},
            {"from": "gpt", "value": e.response},
        ]
    },
    Format.CHAT: lambda e: {
        "messages": [
            {"role": "user", "content": user_message(e.instruction)},
            {"role": "assistant", "content": e.response},
        ]
    },
    Format.PARQUET: lambda e: {
        "sample_id": e.sample_id,
        "seed_id": e.seed_id,
        "instruction": e.instruction.text,
        "input": e.instruction.input,
        "output": e.response,
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    export_dataset(folder, SPLITS)
    return folder


def test_each_split_is_written_in_each_format_and_nothing_else(folder: Path) -> None:
    suffixes = ("alpaca.json", "sharegpt.json", "chat.jsonl", "parquet")
    assert {path.name for path in folder.rglob("*")} == {f"{split}.{suffix}" for split in SPLITS for suffix in suffixes}


@pytest.mark.parametrize("form", [Format.ALPACA, Format.SHAREGPT])
@pytest.mark.parametrize("split", SPLITS)
def test_a_json_file_is_a_list_that_gives_the_rows_back(folder: Path, split: Split, form: Format) -> None:
    found = json.loads((folder / form.file_name(split)).read_bytes())
    assert found == [AS_ROWS[form](e) for e in SPLITS[split]]


@pytest.mark.parametrize("split", SPLITS)
def test_chat_jsonl_gives_the_rows_back_one_a_line(folder: Path, split: Split) -> None:
    lines = (folder / f"{split}.chat.jsonl").read_bytes().split(b"\n")[:-1]
    assert [json.loads(line) for line in lines] == [AS_ROWS[Format.CHAT](e) for e in SPLITS[split]]


@pytest.mark.parametrize("split", SPLITS)
def test_parquet_gives_the_rows_back_with_their_ids(folder: Path, split: Split) -> None:
    rows = pq.read_table(folder / f"{split}.parquet").to_pylist()
    assert rows == [AS_ROWS[Format.PARQUET](e) for e in SPLITS[split]]


@pytest.mark.parametrize("form", Format)
def test_the_loader_of_the_hub_gives_every_row_of_every_format_back(
    folder: Path, form: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    builder = "parquet" if form is Format.PARQUET else "json"
    files = {"train": str(folder / form.file_name("train"))}
    loaded = datasets.load_dataset(builder, data_files=files, cache_dir=str(tmp_path))["train"]
    assert loaded.to_list() == [AS_ROWS[form](e) for e in SPLITS["train"]]


def test_the_same_rows_give_the_same_bytes_and_the_digests_are_of_the_files(tmp_path: Path) -> None:
    first = export_dataset(tmp_path / "one", SPLITS)
    assert export_dataset(tmp_path / "two", SPLITS) == first == export_dataset(tmp_path / "one", SPLITS)
    for name, digest in first.items():
        assert hashlib.sha256((tmp_path / "two" / name).read_bytes()).hexdigest() == digest


def test_rows_are_read_once_and_written_before_the_next_ones_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 100)
    sizes: list[int] = []

    def rows() -> Iterator[Example]:
        for k in range(1_000):
            [draft] = tmp_path.glob(".train.parquet-*")
            sizes.append(draft.stat().st_size)
            yield Example(f"{k:05d}", "s", Instruction(f"Do {k}.", hashlib.sha512(b"%d" % k).hexdigest() * 20), "Done.")

    export_dataset(tmp_path, {"train": rows()})
    assert len(sizes) == 1_000
    assert sizes[500] > sizes[0], "half of the rows are on disk when the other half is not read yet"
    assert pq.read_metadata(tmp_path / "train.parquet").num_row_groups == 10


def test_few_long_texts_are_a_group_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CHARACTERS_AT_ONCE", 10_000)
    rows = [Example(str(k), "s", Instruction("word " * 1_000), HOSTILE) for k in range(6)]
    export_dataset(tmp_path, {"train": rows})
    assert pq.read_metadata(tmp_path / "train.parquet").num_row_groups == 3
    assert pq.read_table(tmp_path / "train.parquet")["sample_id"].to_pylist() == [row.sample_id for row in rows]


def test_an_export_that_was_cut_off_can_be_repeated(tmp_path: Path) -> None:
    def cut_off() -> Iterator[Example]:
        yield from ROWS["train"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_dataset(tmp_path, {"train": cut_off()})
    assert not list(tmp_path.iterdir()), "no file is there by halves"
    export_dataset(tmp_path, {"train": ROWS["train"]})
    assert {path.name for path in tmp_path.iterdir()} == {form.file_name("train") for form in Format}
