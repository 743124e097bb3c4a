"""Whether a stored file is what its table says: columns, types, required values, ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from teams_dagster.core.hashing import ID_LENGTH
from teams_dagster.dataset.quality.scratch import scratch
from teams_dagster.store.tables import Table

FOREIGN_IDS = frozenset({"run_id", "model_version", "base_version"})
"""Columns named like ids that this product does not make: Dagster's runs, and commits of models from the Hub."""

ID_PATTERN = f"[0-9a-f]{{{ID_LENGTH}}}"


def is_id(column: str) -> bool:
    """Whether a column holds ids: content hashes, or the random ids of requests."""
    return column.endswith(("_id", "_version")) and column not in FOREIGN_IDS


def table_faults(file: Path, table: Table) -> list[str]:
    """What is wrong with a table's file, by column and row (from 0); empty when it is sound. Reads it once."""
    try:
        stored = pq.read_schema(file)
        return [*_misfits(stored, table), *_bad_values(file, table, stored)]
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        return [f"{table.name} cannot be read: {str(error).splitlines()[0]}"]


def _misfits(stored: pa.Schema, table: Table) -> Iterator[str]:
    """Columns that are missing, unknown or of another type. One that may be NULL may be missing from older files."""
    for field in table.schema:
        if field.name not in stored.names:
            if not field.nullable:
                yield f"{table.name}.{field.name} is missing"
        elif stored.field(field.name).type != field.type:
            yield f"{table.name}.{field.name} is {stored.field(field.name).type}, not {field.type}"
    for name in stored.names:
        if name not in table.schema.names:
            yield f"{table.name} has no column {name!r}"


def _bad_values(file: Path, table: Table, stored: pa.Schema) -> Iterator[str]:
    sound = [f for f in table.schema if f.name in stored.names and stored.field(f.name).type == f.type]
    tests = [(f.name, "is NULL", f'"{f.name}" is null') for f in sound if not f.nullable]
    tests += [
        (f.name, f"is no id of {ID_LENGTH} hex digits", f"not regexp_full_match(\"{f.name}\", '{ID_PATTERN}')")
        for f in sound
        if is_id(f.name)
    ]
    if not tests:
        return
    found = ", ".join(f"count(*) filter ({bad}), min(file_row_number) filter ({bad})" for _, _, bad in tests)
    with scratch() as connection:
        statement = f"select {found} from read_parquet($file, file_row_number = true)"
        [counts] = connection.execute(statement, {"file": str(file)}).fetchall()
    for (column, what, _), rows, first in zip(tests, counts[::2], counts[1::2], strict=True):
        if rows:
            yield f"{table.name}.{column} {what} in {rows} rows, first in row {first}"
