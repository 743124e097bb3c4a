from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from teams_dagster.dataset.export import export_dataset
from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.instructions.seed_splits import Split
from teams_dagster.student.chat import user_message

HOSTILE = "</script><script>alert(1)</script> \u202egnp.exe \u2028 ../../x\\y \" ' `\r\n\t\0 é 😀"
SPLITS: dict[Split, tuple[Example, ...]] = {
    "train": (
        Example("a", "s1", Instruction("Add.", "1 + 1"), "2"),
        Example("../../b", "s2", Instruction(HOSTILE, HOSTILE), HOSTILE),
    ),
    "validation": (Example("c", "s3", Instruction("Name a tree."), "Oak."),),
    "held_out": (),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    export_dataset(tmp_path / "dataset", SPLITS)
    return tmp_path / "dataset"


def test_each_split_is_written_in_each_format_and_nothing_else(folder: Path) -> None:
    names = {f"{split}.{suffix}" for split in SPLITS for suffix in ("alpaca.json", "chat.jsonl", "parquet")}
    assert {path.name for path in folder.rglob("*")} == names


@pytest.mark.parametrize("split", SPLITS)
def test_alpaca_json_gives_the_rows_back(folder: Path, split: Split) -> None:
    assert json.loads((folder / f"{split}.alpaca.json").read_bytes()) == [
        {"instruction": e.instruction.text, "input": e.instruction.input, "output": e.response} for e in SPLITS[split]
    ]


@pytest.mark.parametrize("split", SPLITS)
def test_chat_jsonl_gives_the_rows_back_one_a_line(folder: Path, split: Split) -> None:
    lines = (folder / f"{split}.chat.jsonl").read_bytes().split(b"\n")[:-1]
    assert [[m["content"] for m in json.loads(line)["messages"]] for line in lines] == [
        [user_message(e.instruction), e.response] for e in SPLITS[split]
    ]


@pytest.mark.parametrize("split", SPLITS)
def test_parquet_gives_the_rows_back_with_their_ids(folder: Path, split: Split) -> None:
    rows = pq.read_table(folder / f"{split}.parquet").to_pylist()
    assert [
        Example(r["sample_id"], r["seed_id"], Instruction(r["instruction"], r["input"]), r["output"]) for r in rows
    ] == [*SPLITS[split]]


def test_the_same_rows_give_the_same_bytes_and_the_digests_are_of_the_files(tmp_path: Path) -> None:
    first = export_dataset(tmp_path / "one", SPLITS)
    assert export_dataset(tmp_path / "two", SPLITS) == first == export_dataset(tmp_path / "one", SPLITS)
    for name, digest in first.items():
        assert hashlib.sha256((tmp_path / "two" / name).read_bytes()).hexdigest() == digest


def test_many_rows_are_written_in_groups_without_loss(tmp_path: Path) -> None:
    rows = tuple(Example(f"{k:05d}", "s", Instruction(f"Do {k}."), "Done.") for k in range(20_001))
    export_dataset(tmp_path, {"train": rows})
    parquet = pq.ParquetFile(tmp_path / "train.parquet")
    assert parquet.num_row_groups == 3
    assert parquet.read(["sample_id"])["sample_id"].to_pylist() == [row.sample_id for row in rows]


def test_an_export_that_was_cut_off_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "train.parquet.part").write_bytes(b"half a file")
    export_dataset(tmp_path, SPLITS)
    assert not list(tmp_path.glob("*.part"))


def test_the_hub_loader_reads_the_exported_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    export_dataset(tmp_path / "dataset", SPLITS)
    files = {"train": str(tmp_path / "dataset" / "train.alpaca.json")}
    loaded = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert loaded["train"][0] == {"instruction": "Add.", "input": "1 + 1", "output": "2"}
