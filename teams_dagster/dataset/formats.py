"""The formats that a dataset is written in, a few rows at a time.

| format | file | one row is |
|---|---|---|
| `alpaca` | `<split>.alpaca.json` | `{"instruction", "input", "output"}` in one list |
| `sharegpt` | `<split>.sharegpt.json` | `{"conversations": [{"from": "human"}, {"from": "gpt"}]}` in one list |
| `chat` | `<split>.chat.jsonl` | `{"messages": [user, assistant]}` (OpenAI, TRL) |
| `parquet` | `<split>.parquet` | sample_id, seed_id, instruction, input, output: what lineage needs too |

The user's turn of a conversation is what a student is asked. A row with what was thought before its answer has that as
`reasoning_content` (in a conversation: on the assistant's turn), in Parquet in column `reasoning`; never in the answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
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

REASONING = {
    "reasoning": "What was thought before the answer; NULL where nothing was. Only where a generation kept thoughts"
}
"""One more column, of a dataset with thoughts."""

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

    def writing(self, file: IO[bytes], *, reasoning: bool = False) -> AbstractContextManager[Write]:
        """Write rows to `file`; it is complete when the block ends. `reasoning`: rows may have thoughts."""
        return _parquet(file, reasoning=reasoning) if self is Format.PARQUET else _WRITERS[self](file)


class Thoughts(StrEnum):
    """What becomes of thoughts in an export, by the name that people type."""

    FIELD = "field"
    """They are values of their own."""
    THINK = "think"
    """A `<think>` block before the answer, where a row is a text for training; in Parquet a column of their own."""
    NONE = "none"

    def placed(self, form: Format, example: Example) -> Example:
        """`example` as it is written in format `form`."""
        if example.reasoning is None or self is Thoughts.FIELD:
            return example
        if self is Thoughts.NONE:
            return replace(example, reasoning=None)
        if form is Format.PARQUET:
            return example
        return replace(example, response=with_think_block(example.reasoning, example.response), reasoning=None)


def with_think_block(thought: str, answer: str) -> str:
    """A text that begins with a thought between the marks that most reasoning models write."""
    return f"<think>\n{thought.strip()}\n</think>\n\n{answer}"


_SUFFIXES = {
    Format.ALPACA: "alpaca.json",
    Format.SHAREGPT: "sharegpt.json",
    Format.CHAT: "chat.jsonl",
    Format.PARQUET: "parquet",
}


@contextmanager
def _json_list(row: Callable[[Example], Mapping[str, object]], file: IO[bytes]) -> Generator[Write]:
    before = b"[\n"

    def write(examples: Sequence[Example]) -> None:
        nonlocal before
        for example in examples:
            file.write(before + _json(row(example)))
            before = b",\n"

    yield write
    file.write(b"[\n]\n" if before == b"[\n" else b"\n]\n")


@contextmanager
def _json_lines(row: Callable[[Example], Mapping[str, object]], file: IO[bytes]) -> Generator[Write]:
    yield lambda examples: file.writelines(_json(row(example)) + b"\n" for example in examples)


@contextmanager
def _parquet(file: IO[bytes], *, reasoning: bool) -> Generator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    required = [pa.field(name, pa.string(), nullable=False) for name in COLUMNS]
    schema = pa.schema([*required, *(pa.field(name, pa.string()) for name in REASONING if reasoning)])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:

        def write(examples: Sequence[Example]) -> None:
            rows = [
                (e.sample_id, e.seed_id, e.instruction.text, e.instruction.input, e.response, e.reasoning)
                for e in examples
            ]
            columns = dict(zip((*COLUMNS, *REASONING), zip(*rows, strict=True), strict=True))
            writer.write_table(pa.table({name: columns[name] for name in schema.names}, schema=schema))

        yield write


def _alpaca(example: Example) -> Mapping[str, object]:
    texts = {"instruction": example.instruction.text, "input": example.instruction.input, "output": example.response}
    return texts | _thought(example)


def _sharegpt(example: Example) -> Mapping[str, object]:
    asked = {"from": "human", "value": user_message(example.instruction)}
    return {"conversations": [asked, {"from": "gpt", "value": example.response, **_thought(example)}]}


def _chat(example: Example) -> Mapping[str, object]:
    asked = {"role": "user", "content": user_message(example.instruction)}
    return {"messages": [asked, {"role": "assistant", "content": example.response, **_thought(example)}]}


def _thought(example: Example) -> dict[str, str]:
    return {} if example.reasoning is None else {"reasoning_content": example.reasoning}


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


_WRITERS: dict[Format, Callable[[IO[bytes]], AbstractContextManager[Write]]] = {
    Format.ALPACA: partial(_json_list, _alpaca),
    Format.SHAREGPT: partial(_json_list, _sharegpt),
    Format.CHAT: partial(_json_lines, _chat),
}
