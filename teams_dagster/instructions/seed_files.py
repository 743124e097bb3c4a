"""Reading rows from JSON, JSONL, CSV and Parquet files, so that a bad row costs no good one.

A reader gives one `FileRow` for each row of the file, in order: its cells, or why it cannot be read. Bytes that are
not UTF-8 become lone surrogates in the row that holds them (PEP 383) and are judged with the row.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow.parquet as pq

SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")

_LINES_IN_A_ROW = 1000
"""A quoted CSV cell that runs over more lines is taken for one whose quote was never closed."""

_CELL_CHARACTERS = 2**31 - 1


class SeedFileError(ValueError):
    """A seed file that cannot be used at all: the message names file, place and remedy."""


@dataclass(frozen=True)
class FileRow:
    """One row of a file: its cells by lower-case column name, or `broken`, what is wrong with its form."""

    row: int
    """Counted from 1; a line of a JSONL file, an element of a JSON list, a row after the header of a CSV file."""
    cells: Mapping[str, Any] | None
    broken: str = ""


def read_rows(path: Path) -> Iterator[FileRow]:
    """The rows of `path`, by its suffix.

    Raises `SeedFileError` for a file that is missing, of an unknown kind, or broken as a whole.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise SeedFileError(f"The file {path} {what}. Give the path of a {_kinds()} file; TEAMS_SEEDS names the seeds.")
    if suffix not in SUFFIXES:
        raise SeedFileError(f"{path.name}: cannot tell its format from the suffix {suffix!r}. Use {_kinds()}.")
    if suffix == ".parquet":
        return _parquet_rows(path)
    text = _text(path)
    if suffix == ".csv":
        return _csv_rows(path.name, text)
    return _json_rows(path.name, text) if suffix == ".json" else _jsonl_rows(text)


def texts_in(path: Path) -> Iterator[str]:
    """Every text in every row of a file, whatever its column: an evaluation set to decontaminate against.

    Raises `SeedFileError` as `read_rows` does, and for a row that is broken: what is not read cannot be kept out.
    """
    for row in read_rows(path):
        if row.cells is None:
            raise SeedFileError(f"{path.name}, row {row.row}: {row.broken}. Mend or remove the row.")
        yield from _strings(list(row.cells.values()))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, Mapping)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)


def _kinds() -> str:
    return ", ".join(SUFFIXES[:-1]) + " or " + SUFFIXES[-1]


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SeedFileError(f"{path.name}: cannot be read ({error.strerror}). Check its permissions.") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SeedFileError(f"{path.name}: is UTF-16. Save it as UTF-8.")
    text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    if not text.strip():
        raise SeedFileError(f"{path.name}: is empty. Give it one instruction a row.")
    return text


def _parsed(text: str) -> Any:
    """The JSON value of `text`; control characters in strings are let through, to be judged with their row.

    Raises ValueError, also where Python's parser runs into its own limits.
    """
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _json_rows(name: str, text: str) -> Iterator[FileRow]:
    try:
        values = _parsed(text)
    except ValueError as error:
        if text.lstrip().startswith("{"):
            return _jsonl_rows(text)  # many published .json files hold one object a line
        raise SeedFileError(
            f"{name}: is not valid JSON: {error}. Mend it there, or give one object a line in a .jsonl file, where a "
            "broken line costs only itself."
        ) from error
    if not isinstance(values, list):
        raise SeedFileError(f"{name}: holds a {type(values).__name__}, not a list. Write a list of objects: [{{...}}].")
    return (_from_value(row, value) for row, value in enumerate(values, 1))


def _jsonl_rows(text: str) -> Iterator[FileRow]:
    for row, line in enumerate(text.rstrip().split("\n"), 1):
        if not line.strip():
            yield FileRow(row, {})
            continue
        try:
            value = _parsed(line)
        except ValueError as error:
            yield FileRow(row, None, f"not valid JSON: {error}")
        else:
            yield _from_value(row, value)


def _from_value(row: int, value: Any) -> FileRow:
    if not isinstance(value, dict):
        return FileRow(row, None, f"a JSON object is needed, not {type(value).__name__}")
    return FileRow(row, {_column(key): cell for key, cell in value.items()})


def _column(name: str) -> str:
    return name.strip().lower()


def _csv_rows(name: str, text: str) -> Iterator[FileRow]:
    records = _csv_records(text)
    _, found = next(records)
    if found is None:
        raise SeedFileError(f"{name}: the quotes in the header line do not match. Mend the header.")
    header = [_column(cell) for cell in found]
    _refuse_twins(name, header)
    return _csv_body(header, records)


def _csv_body(header: list[str], records: Iterator[tuple[int, list[str] | None]]) -> Iterator[FileRow]:
    for row, (line, cells) in enumerate(records, 1):
        if cells is None:
            yield FileRow(row, None, f"line {line}: a quoted cell is not closed, or text follows its closing quote")
        elif len(cells) > len(header):
            yield FileRow(row, None, f"line {line}: {len(cells)} cells under {len(header)} columns; quote the commas")
        else:
            yield FileRow(row, dict(zip_longest(header, cells, fillvalue="")) if cells else {})


def _refuse_twins(name: str, columns: list[str]) -> None:
    for column in columns:
        if column and columns.count(column) > 1:
            raise SeedFileError(f"{name}: the column {column!r} appears twice. Rename one.")


def _csv_records(text: str) -> Iterator[tuple[int, list[str] | None]]:
    """(line, cells) of each record; cells are None where the line has faulty quotes.

    After such a line reading starts again at the next one: an unclosed quote swallows nothing.
    """
    lines = list(io.StringIO(text.rstrip(), newline=""))
    start = columns = 0
    while start < len(lines):
        end, cells = _csv_record(lines, start)
        columns = columns or len(cells or ())
        if cells is not None and end > start + 1 and len(cells) > columns:
            end, cells = start + 1, None  # a stray quote paired with one of a later row
        yield start + 1, cells
        start = end


def _csv_record(lines: list[str], start: int) -> tuple[int, list[str] | None]:
    """The line after the record that begins at line `start`, and its cells; None where its quotes are faulty."""
    end = start

    def feed() -> Iterator[str]:
        nonlocal end
        while end < min(len(lines), start + _LINES_IN_A_ROW):
            end += 1
            yield lines[end - 1]

    limit = csv.field_size_limit(_CELL_CHARACTERS)
    try:
        cells = next(csv.reader(feed(), strict=True))
    except csv.Error:
        return start + 1, None
    finally:
        csv.field_size_limit(limit)
    return end, cells


def _parquet_rows(path: Path) -> Iterator[FileRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise SeedFileError(f"{path.name}: is not a readable Parquet file ({error}). Write it again.") from error
    _refuse_twins(path.name, [_column(column) for column in table.schema_arrow.names])
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
                    yield FileRow(row, {_column(key): cell for key, cell in cells.items()})
    except (pa.ArrowException, OSError) as error:
        raise SeedFileError(f"{name}: is damaged after row {row} ({error}). Write it again.") from error
