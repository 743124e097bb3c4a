"""The dataset as files that other tools read: Alpaca JSON, chat JSONL, Parquet; the same bytes for the same rows.

| file | one row is |
|---|---|
| `<split>.alpaca.json` | `{"instruction", "input", "output"}` in one list |
| `<split>.chat.jsonl` | `{"messages": [user, assistant]}` (OpenAI, TRL); the user's turn as for the student |
| `<split>.parquet` | sample_id, seed_id, instruction, input, output: what lineage needs too |
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.seed_splits import Split
from teams_dagster.student.chat import user_message

_ROW_GROUP = 10_000


def export_dataset(folder: Path, splits: Mapping[Split, Sequence[Example]]) -> dict[str, str]:
    """Write each split in each format into `folder`; returns the SHA-256 (hex) of each file by its name.

    A file appears under its name only when it is complete, so an export that was cut off can be repeated.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digests: dict[str, str] = {}
    for split, examples in splits.items():
        for suffix, write in _WRITERS.items():
            name = f"{split}.{suffix}"
            digests[name] = _write(folder / name, examples, write)
    return digests


def _write(path: Path, examples: Sequence[Example], write: Callable[[IO[bytes], Sequence[Example]], None]) -> str:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        write(file, examples)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_alpaca(file: IO[bytes], examples: Sequence[Example]) -> None:
    rows = (
        _json({"instruction": e.instruction.text, "input": e.instruction.input, "output": e.response}) for e in examples
    )
    file.write(b"[")
    for at, row in enumerate(rows):
        file.write(b",\n" if at else b"\n")
        file.write(row)
    file.write(b"\n]\n")


def _write_chat(file: IO[bytes], examples: Sequence[Example]) -> None:
    for example in examples:
        messages = [
            {"role": "user", "content": user_message(example.instruction)},
            {"role": "assistant", "content": example.response},
        ]
        file.write(_json({"messages": messages}) + b"\n")


def _write_parquet(file: IO[bytes], examples: Sequence[Example]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("sample_id", "seed_id", "instruction", "input", "output")
    schema = pa.schema([pa.field(name, pa.string(), nullable=False) for name in names])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(examples):
            rows = [(e.sample_id, e.seed_id, e.instruction.text, e.instruction.input, e.response) for e in group]
            writer.write_table(pa.table(dict(zip(names, zip(*rows, strict=True), strict=True)), schema=schema))


def _groups(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    return (examples[at : at + _ROW_GROUP] for at in range(0, len(examples), _ROW_GROUP))


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


_WRITERS: dict[str, Callable[[IO[bytes], Sequence[Example]], None]] = {
    "alpaca.json": _write_alpaca,
    "chat.jsonl": _write_chat,
    "parquet": _write_parquet,
}
