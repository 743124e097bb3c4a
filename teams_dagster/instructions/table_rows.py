"""Rows of Parquet and Arrow tables, packed or not, as datasets and pandas write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teams_dagster.instructions.file_content import ARROW, ARROW_STREAM, PARQUET, FileContent
from teams_dagster.instructions.file_rows import (
    COLUMNS,
    FileRow,
    SeedFileError,
    column_name,
    object_of,
    refuse_twins,
    row_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 1024


def is_table(begins: bytes) -> bool:
    """Whether a file that begins so is a table."""
    return begins.startswith((PARQUET, ARROW, ARROW_STREAM))


def table_rows(content: FileContent) -> Iterator[FileRow]:
    """The rows of a table. Raises SeedFileError for one that is damaged, or names a column twice."""
    import pyarrow as pa

    kind = "Parquet" if content.begins.startswith(PARQUET) else "Arrow"
    try:
        names, batches = _opened(content.path if content.data is None else content.data, content.begins)
    except (pa.ArrowException, OSError) as error:
        raise SeedFileError(f"{content.name}: is not a readable {kind} file ({error}). Write it again.") from error
    refuse_twins(content.name, [column_name(column) for column in names])
    return _body(content.name, batches)


def _opened(source: Path | bytes, begins: bytes) -> tuple[list[str], Iterator[pa.RecordBatch]]:
    """The names of a table's columns, and its rows in batches."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    opened = pa.BufferReader(source) if isinstance(source, bytes) else pa.memory_map(str(source))
    if begins.startswith(PARQUET):
        table = pq.ParquetFile(opened)
        return table.schema_arrow.names, table.iter_batches(batch_size=_ROWS_AT_ONCE)
    if begins.startswith(ARROW):
        file = pa.ipc.open_file(opened)
        return file.schema.names, (file.get_batch(at) for at in range(file.num_record_batches))
    stream = pa.ipc.open_stream(opened)
    return stream.schema.names, iter(stream)


def _body(name: str, batches: Iterator[pa.RecordBatch]) -> Iterator[FileRow]:
    import pyarrow as pa

    row = 0
    try:
        for batch in batches:
            for at in range(batch.num_rows):
                row += 1
                yield _row(row, batch.slice(at, 1))
    except (pa.ArrowException, OSError) as error:
        raise SeedFileError(f"{name}: is damaged after row {row} ({error}). Write it again.") from error


def _row(row: int, batch: pa.RecordBatch) -> FileRow:
    try:
        cells = ((name, array.to_pylist()[0]) for name, array in zip(batch.schema.names, batch.columns, strict=True))
        return row_of(row, object_of(cells))
    except (ArithmeticError, ValueError, LookupError):  # a text that is none, a date beyond the calendar, a zone
        return _readable(row, batch)


def _readable(row: int, batch: pa.RecordBatch) -> FileRow:
    """The cells that can be read, where no column that is understood has one that cannot."""
    cells: dict[str, Any] = {}
    for column, array in zip(batch.schema.names, batch.columns, strict=True):
        try:
            cells[column] = array.to_pylist()[0]
        except UnicodeDecodeError:
            return FileRow(row, None, "a cell is not UTF-8")
        except (ArithmeticError, ValueError, LookupError) as error:
            if column_name(column) in COLUMNS:
                return FileRow(row, None, f"`{column}` cannot be read ({error})")
            cells[column] = None  # nobody reads it
    return row_of(row, cells)
