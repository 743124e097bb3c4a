"""What leaves the project: hostile rows are read back as they were, by the readers that people use."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from teams_dagster.core.instruction import Instruction, user_message
from teams_dagster.dataset.export import describe_folder, export_dataset
from teams_dagster.dataset.sample import Example
from tests.support.datasets import CARD
from tests.support.hostile import TEXTS

ROWS = tuple(
    Example(f"../../{name}", f"'; drop table {name}; --", Instruction(text, text), text) for name, text in TEXTS.items()
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent") / "dataset"
    folder.mkdir()
    export_dataset(folder, {"train": ROWS, "validation": (), "held_out": ()})
    describe_folder(folder, CARD)
    return folder


def test_ids_name_no_file(folder: Path) -> None:
    assert [path.name for path in folder.parent.iterdir()] == ["dataset"]
    assert len([path for path in folder.iterdir() if path.suffix in (".json", ".jsonl", ".parquet")]) == 13


def test_every_format_gives_the_texts_back(folder: Path) -> None:
    answers = list(TEXTS.values())
    asked = [user_message(row.instruction) for row in ROWS]
    alpaca = json.loads((folder / "train.alpaca.json").read_bytes())
    sharegpt = json.loads((folder / "train.sharegpt.json").read_bytes())
    chat = [json.loads(line) for line in (folder / "train.chat.jsonl").read_bytes().splitlines()]
    parquet = pq.read_table(folder / "train.parquet").to_pylist()
    assert [(row["instruction"], row["input"], row["output"]) for row in alpaca] == [(t, t, t) for t in answers]
    assert [[turn["value"] for turn in row["conversations"]] for row in sharegpt] == [
        [question, answer] for question, answer in zip(asked, answers, strict=True)
    ]
    assert [[turn["content"] for turn in row["messages"]] for row in chat] == [
        [question, answer] for question, answer in zip(asked, answers, strict=True)
    ]
    assert [(row["sample_id"], row["seed_id"], row["output"]) for row in parquet] == [
        (row.sample_id, row.seed_id, row.response) for row in ROWS
    ]


def test_the_loader_of_the_hub_gives_the_texts_back(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path))
    assert loaded["output"][:] == list(TEXTS.values())
