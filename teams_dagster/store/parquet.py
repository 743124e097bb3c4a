"""Parquet files as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def read_rows(path: Path, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Every row, in the file's order; of all columns where `columns` is None."""
    return read_table(path, columns).to_pylist()


def iterate_rows(path: Path, at_once: int, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The same, with `at_once` rows in memory."""
    for batch in pq.ParquetFile(path).iter_batches(at_once, columns=None if columns is None else list(columns)):
        yield from batch.to_pylist()


def distinct_values(path: Path, columns: Sequence[str]) -> set[Any]:
    """What `columns` hold together, nulls left out."""
    table = read_table(path, columns)
    return {value for column in columns for value in table[column].drop_null().unique().to_pylist()}


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A file as a table: of all columns where `columns` is None."""
    names = None if columns is None else list(columns)
    return pq.read_table(path, columns=names)
