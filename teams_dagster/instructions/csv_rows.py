"""Rows of CSV files and their kin: `;`, tab or `|` between cells, Excel's `sep=` line, commas at the ends of lines.

Python's `csv` reads each record; here is what goes beyond it: which delimiter a file has, whether its first row names
columns, and that a stray quote swallows no other row.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from teams_dagster.core.words import word_count, words
from teams_dagster.instructions.file_rows import (
    ASKING_COLUMNS,
    COLUMNS,
    FileRow,
    SeedFileError,
    column_name,
    refuse_twins,
)

_DELIMITERS = ",;\t|"

_SEP_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)

_LINES_IN_A_ROW = 1000
"""A quoted cell that runs over more lines is taken for one whose quote was never closed."""

_CELL_CHARACTERS = 2**31 - 1

_ENDS_OF_SENTENCES = (".", "?", "!", "。", "？", "！", "।", "؟")

_WORDS_OF_A_NAME = 3
"""The name of a column has at most as many words; a cell with more is data."""


@dataclass(frozen=True)
class _Table:
    """A file's lines, from which of them on they are its, and what stands between its cells."""

    lines: list[str]
    first: int
    delimiter: str


def csv_rows(name: str, text: str, delimiter: str | None = None) -> Iterator[FileRow]:
    """The rows below a header of columns. `delimiter` is told by the header where it is not given.

    Raises SeedFileError for a header that is broken, names a column twice, or is a row of data.
    """
    records = _records(_table(text, delimiter))
    header = [column_name(cell) for cell in _first_record(name, records)]
    refuse_twins(name, header)
    if ASKING_COLUMNS.isdisjoint(header) and (cell := _datum(header)) is not None:
        raise SeedFileError(
            f"{name}: its first row is no header: {cell[:60]!r} is no name of a column. Put the columns' names above"
            " it, such as instruction,input,output."
        )
    return _below(header, records)


def csv_texts(name: str, text: str, delimiter: str | None = None) -> Iterator[FileRow]:
    """The rows of a file of which every text counts, whatever its column; a first row that may be no header is row 0.

    Raises SeedFileError for a first row that is broken.
    """
    records = _records(_table(text, delimiter))
    first = _first_record(name, records)
    columns = [f"{at} {column_name(cell)}" for at, cell in enumerate(first)]  # no two alike
    if _datum(first) is not None or COLUMNS.isdisjoint(map(column_name, first)):
        yield FileRow(0, dict(zip(columns, first, strict=True)))
    yield from _below(columns, records)


def _datum(cells: list[str]) -> str | None:
    """A cell that is no name of a column: a sentence, or a number; None where each may be one."""
    return next((cell for cell in cells if not _may_be_a_name(cell)), None)


def _may_be_a_name(cell: str) -> bool:
    if cell.rstrip().endswith(_ENDS_OF_SENTENCES) or word_count(words(cell)) > _WORDS_OF_A_NAME:
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False


def _table(text: str, delimiter: str | None) -> _Table:
    lines = list(io.StringIO(text.rstrip(), newline=""))
    said = _SEP_LINE.fullmatch(lines[0])
    if said is not None and len(lines) > 1:
        return _Table(lines, 1, said[1])
    return _Table(lines, 0, delimiter or _delimiter_of(lines[0]))


def _delimiter_of(header: str) -> str:
    """The first under which the header has a column that is understood; else the first that divides it."""
    divided = {delimiter: _divided(header, delimiter) for delimiter in _DELIMITERS}
    understood = (
        delimiter for delimiter, cells in divided.items() if not ASKING_COLUMNS.isdisjoint(map(column_name, cells))
    )
    dividing = (delimiter for delimiter, cells in divided.items() if len(cells) > 1)
    return next(understood, None) or next(dividing, ",")


def _divided(header: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([header], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


def _first_record(name: str, records: Iterator[tuple[int, list[str] | None]]) -> list[str]:
    _, found = next(records)
    if found is None:
        raise SeedFileError(f"{name}: the quotes in the header line do not match. Fix the header.")
    return found


def _below(header: list[str], records: Iterator[tuple[int, list[str] | None]]) -> Iterator[FileRow]:
    for row, (line, cells) in enumerate(records, 1):
        if cells is None:
            yield FileRow(row, None, f"line {line}: {_QUOTES}")
            continue
        if len(cells) > len(header):
            yield FileRow(row, None, f"line {line}: {len(cells)} cells under {len(header)} columns; quote the commas")
        else:
            yield FileRow(row, dict(zip_longest(header, cells, fillvalue="")) if cells else {})


_QUOTES = 'a quoted cell is not closed, or text follows its closing quote; a quote inside is written twice, "", not \\"'


def _records(table: _Table) -> Iterator[tuple[int, list[str] | None]]:
    """(line, cells) of each record; cells are None where the line has faulty quotes.

    After such a line reading starts again at the next one: an unclosed quote swallows nothing.
    """
    start, columns = table.first, 0
    while start < len(table.lines):
        end, cells = _record(table, start)
        columns = columns or len(cells or ())
        while cells and len(cells) > columns and not cells[-1]:  # a comma at the end of the line
            cells.pop()
        if cells is not None and end > start + 1 and len(cells) > columns:
            end, cells = start + 1, None  # a stray quote paired with one of a later row
        yield start + 1, cells
        start = end


def _record(table: _Table, start: int) -> tuple[int, list[str] | None]:
    """The line after the record that begins at line `start`, and its cells; None where its quotes are faulty."""
    end = start

    def feed() -> Iterator[str]:
        nonlocal end
        while end < min(len(table.lines), start + _LINES_IN_A_ROW):
            end += 1
            yield table.lines[end - 1]

    limit = csv.field_size_limit(_CELL_CHARACTERS)
    try:
        cells = next(csv.reader(feed(), delimiter=table.delimiter, strict=True))
    except csv.Error:
        return start + 1, None
    finally:
        csv.field_size_limit(limit)
    return end, cells
