"""Breaking what is stored, one cell at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def change(table: Path, column: str, changed: Callable[[Any], Any], *, row: int | None = None) -> None:
    """Change one value of a column: that in `row`, or the first that is not NULL."""
    stored = pq.read_table(table)
    values = stored[column].to_pylist()
    at = next(index for index, value in enumerate(values) if value is not None) if row is None else row
    values[at] = changed(values[at])
    place = stored.schema.get_field_index(column)
    field = stored.schema.field(column).with_nullable(True)
    pq.write_table(stored.set_column(place, field, pa.array(values, field.type)), table)


def without(table: Path, column: str) -> None:
    """Drop a column."""
    pq.write_table(pq.read_table(table).drop_columns([column]), table)


def cut(table: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Keep the rows that `keep` says."""
    stored = pq.read_table(table)
    pq.write_table(stored.filter(pa.array([keep(row) for row in stored.to_pylist()])), table)
