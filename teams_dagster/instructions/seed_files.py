"""Reading rows from JSON, JSONL, CSV, TSV and Parquet files, seeds or evaluation sets: a bad row costs no good one.

A reader gives one `FileRow` for each row of the file, in order: its cells, or why it cannot be read. Text may be packed
(gzip, Zstandard), in UTF-8, UTF-16 or UTF-32. Bytes of UTF-8 text that are none become lone surrogates in the row that
holds them (PEP 383) and are judged with the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teams_dagster.instructions.csv_rows import csv_rows, csv_texts
from teams_dagster.instructions.file_rows import FileRow, SeedFileError, cells_by_column, column_name, refuse_twins
from teams_dagster.instructions.file_text import PACKED, text_of
from teams_dagster.instructions.json_rows import json_rows, jsonl_rows

if TYPE_CHECKING:
    import pyarrow.parquet as pq

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")

_DELIMITERS = {".csv": None, ".tsv": "\t"}


def read_rows(path: Path) -> Iterator[FileRow]:
    """The rows of `path`, by its suffix.

    Raises `SeedFileError` for a file that is missing, of an unknown kind, or broken as a whole.
    """
    suffix = _suffix(path)
    if suffix in _DELIMITERS:
        return csv_rows(path.name, text_of(path), _DELIMITERS[suffix])
    return _other_rows(path, suffix)


def texts_in(path: Path) -> Iterator[str]:
    """Every text in every row of a file, whatever its column: an evaluation set to decontaminate against.

    A CSV file without a header has none to lose: a first row that holds data counts too. Raises `SeedFileError` as
    `read_rows` does, and for a row that is broken: what is not read cannot be kept out.
    """
    suffix = _suffix(path)
    if suffix in _DELIMITERS:
        rows = csv_texts(path.name, text_of(path), _DELIMITERS[suffix])
    else:
        rows = _other_rows(path, suffix)
    for row in rows:
        if row.cells is None:
            raise SeedFileError(f"{path.name}, row {row.row}: {row.broken}. Fix or remove the row.")
        yield from _strings(list(row.cells.values()))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, Mapping)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)


def _suffix(path: Path) -> str:
    """The suffix that tells the format: the one before `.gz` or `.zst`. Raises SeedFileError."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise SeedFileError(f"The file {path} {what}. Give the path of a {_kinds()} file; TEAMS_SEEDS names the seeds.")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in PACKED else ""
    suffix = suffixes[-1] if suffixes else ""
    if suffix not in SUFFIXES:
        raise SeedFileError(f"{path.name}: cannot tell its format from the suffix {suffix + packed!r}. Use {_kinds()}.")
    if packed and suffix == ".parquet":
        raise SeedFileError(f"{path.name}: Parquet compresses by itself. Unpack it, and name the .parquet file.")
    return suffix


def _kinds() -> str:
    return ", ".join(SUFFIXES[:-1]) + " or " + SUFFIXES[-1]


def _other_rows(path: Path, suffix: str) -> Iterator[FileRow]:
    if suffix == ".parquet":
        return _parquet_rows(path)
    text = text_of(path)
    return json_rows(path.name, text) if suffix == ".json" else jsonl_rows(text)


def _parquet_rows(path: Path) -> Iterator[FileRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise SeedFileError(f"{path.name}: is not a readable Parquet file ({error}). Write it again.") from error
    refuse_twins(path.name, [column_name(column) for column in table.schema_arrow.names])
    return _parquet_body(path.name, table)


def _parquet_body(name: str, table: pq.ParquetFile) -> Iterator[FileRow]:
    import pyarrow as pa

    row = 0
    try:
        for batch in table.iter_batches(batch_size=1024):
            for at in range(batch.num_rows):
                row += 1
                try:
                    cells = batch.slice(at, 1).to_pylist()[0]
                except UnicodeDecodeError:
                    yield FileRow(row, None, "a cell is not UTF-8")
                else:
                    yield FileRow(row, cells_by_column(cells))
    except (pa.ArrowException, OSError) as error:
        raise SeedFileError(f"{name}: is damaged after row {row} ({error}). Write it again.") from error
