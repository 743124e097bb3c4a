"""The formats that a dataset is written in, a few rows at a time.

| format | file | one row is |
|---|---|---|
| `alpaca` | `<split>.alpaca.json` | `{"instruction", "input", "output"}` in one list |
| `sharegpt` | `<split>.sharegpt.json` | `{"conversations": [{"from": "human"}, {"from": "gpt"}]}` in one list |
| `chat` | `<split>.chat.jsonl` | `{"messages": [user, assistant]}` (OpenAI, TRL) |
| `parquet` | `<split>.parquet` | sample_id, seed_id, instruction, input, output: what lineage needs too |

The user's turn of a conversation is what a student is asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from functools import partial
from typing import IO

from teams_dagster.core.instruction import user_message
from teams_dagster.dataset.sample import Example

COLUMNS = {
    "sample_id": "The sample",
    "seed_id": "The seed at the root of its chain: a seed and all that came of it are on one side of the split",
    "instruction": "What is asked",
    "input": "What it is asked about; empty where the instruction says it all",
    "output": "The answer",
}
"""The columns of the Parquet files, all of them text, and what they hold."""

Write = Callable[[Sequence[Example]], None]
"""Adds rows to a file."""


class Format(StrEnum):
    """A format, by the name that people type."""

    ALPACA = "alpaca"
    SHAREGPT = "sharegpt"
    CHAT = "chat"
    PARQUET = "parquet"

    def file_name(self, split: str) -> str:
        """The file of a split."""
        return f"{split}.{_SUFFIXES[self]}"

    def writing(self, file: IO[bytes]) -> AbstractContextManager[Write]:
        """Write rows to `file`; it is complete when the block ends."""
        return _WRITERS[self](file)


_SUFFIXES = {
    Format.ALPACA: "alpaca.json",
    Format.SHAREGPT: "sharegpt.json",
    Format.CHAT: "chat.jsonl",
    Format.PARQUET: "parquet",
}


@contextmanager
def _json_list(row: Callable[[Example], Mapping[str, object]], file: IO[bytes]) -> Iterator[Write]:
    before = b"[\n"

    def write(examples: Sequence[Example]) -> None:
        nonlocal before
        for example in examples:
            file.write(before + _json(row(example)))
            before = b",\n"

    yield write
    file.write(b"[\n]\n" if before == b"[\n" else b"\n]\n")


@contextmanager
def _json_lines(row: Callable[[Example], Mapping[str, object]], file: IO[bytes]) -> Iterator[Write]:
    yield lambda examples: file.writelines(_json(row(example)) + b"\n" for example in examples)


@contextmanager
def _parquet(file: IO[bytes]) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([pa.field(name, pa.string(), nullable=False) for name in COLUMNS])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:

        def write(examples: Sequence[Example]) -> None:
            rows = [(e.sample_id, e.seed_id, e.instruction.text, e.instruction.input, e.response) for e in examples]
            writer.write_table(pa.table(dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)), schema=schema))

        yield write


def _alpaca(example: Example) -> Mapping[str, object]:
    return {"instruction": example.instruction.text, "input": example.instruction.input, "output": example.response}


def _sharegpt(example: Example) -> Mapping[str, object]:
    turns = (("human", user_message(example.instruction)), ("gpt", example.response))
    return {"conversations": [{"from": who, "value": text} for who, text in turns]}


def _chat(example: Example) -> Mapping[str, object]:
    turns = (("user", user_message(example.instruction)), ("assistant", example.response))
    return {"messages": [{"role": who, "content": text} for who, text in turns]}


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


_WRITERS: dict[Format, Callable[[IO[bytes]], AbstractContextManager[Write]]] = {
    Format.ALPACA: partial(_json_list, _alpaca),
    Format.SHAREGPT: partial(_json_list, _sharegpt),
    Format.CHAT: partial(_json_lines, _chat),
    Format.PARQUET: _parquet,
}
