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
from teams_dagster.instructions.column_names import NAMED_FOR_INSTRUCTIONS
from teams_dagster.instructions.file_rows import (
    ASKING_COLUMNS,
    COLUMNS,
    FileRow,
    SeedFileError,
    column_name,
    refuse_twins,
)

_DELIMITERS = ",;\t|"

_SELDOM_IN_SENTENCES = "\t|;,"

_SEP_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)

_LINES_IN_A_ROW = 1000
"""A quoted cell that runs over more lines is taken for one whose quote was never closed."""

_LINES_ABOVE = 10
"""Lines in which a header is looked for that stands below a title or a comment."""

_LINES_COMPARED = 20
"""Lines that are compared to tell what stands between cells where no header does."""

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

    @property
    def spaced(self) -> bool:
        """Whether a space follows each delimiter of the header, as people write by hand, and belongs to no cell."""
        header = self.lines[self.first]
        return 0 < header.count(self.delimiter) == header.count(f"{self.delimiter} ")


def csv_rows(name: str, text: str, tabs: bool = False) -> Iterator[FileRow]:
    """The rows below a header of columns, which tells what stands between cells; where it does not, `tabs` does.

    Raises SeedFileError for a header that is broken, names a column twice, or is a row of data.
    """
    table = _table(text, tabs)
    records = _records(table)
    header = [column_name(cell) for cell in _first_record(name, records)]
    refuse_twins(name, header)
    if ASKING_COLUMNS.isdisjoint(header):
        _refuse_header(name, header, table)
    return _below(header, records, table.delimiter)


def csv_texts(name: str, text: str, tabs: bool = False) -> Iterator[FileRow]:
    """The rows of a file of which every text counts, whatever its column; a first row that may be no header is row 0.

    Raises SeedFileError for a first row that is broken.
    """
    table = _table(text, tabs)
    records = _records(table)
    first = _first_record(name, records)
    columns = [str(at) for at in range(len(first))]  # no two alike
    if _datum(first) is not None or COLUMNS.isdisjoint(map(column_name, first)):
        yield FileRow(0, dict(zip(columns, first, strict=True)))
    yield from _below(columns, records)


def names_columns(text: str) -> bool:
    """Whether the first line of a text names a column of instructions."""
    line = text.lstrip().partition("\n")[0]
    return any(_understood(_divided(line, delimiter)) for delimiter in _DELIMITERS)


def _understood(cells: list[str]) -> bool:
    return not ASKING_COLUMNS.isdisjoint(map(column_name, cells))


def _refuse_header(name: str, header: list[str], table: _Table) -> None:
    """Raises SeedFileError for a first row that names no column of instructions."""
    for at, line in enumerate(table.lines[table.first + 1 :][:_LINES_ABOVE], table.first + 2):
        if _understood(_divided(line, _delimiter_of([line], tabs=False))):
            raise SeedFileError(
                f"{name}: its first row names no column of instructions, and line {at} does: remove the lines above it."
            )
    if (cell := _datum(header)) is not None:
        raise SeedFileError(
            f"{name}: its first row is no header: {cell[:60]!r} is no name of a column. Put the columns' names above"
            " it, such as instruction,input,output."
        )
    raise SeedFileError(
        f"{name}: no column of instructions: its first row has {', '.join(repr(cell[:30]) for cell in header[:8])}."
        f" Name one {' or '.join(NAMED_FOR_INSTRUCTIONS)}; commas, semicolons, tabs or | stand between names."
    )


def _datum(cells: list[str]) -> str | None:
    """A cell that is no name of a column: a sentence, or a number; None where each may be one."""
    return next((cell for cell in cells if not _may_be_a_name(cell)), None)


def is_sentence(cell: str) -> bool:
    """Whether a cell, or a name, has more words than the name of a column, or ends as a sentence does."""
    return cell.rstrip().endswith(_ENDS_OF_SENTENCES) or word_count(words(cell)) > _WORDS_OF_A_NAME


def _may_be_a_name(cell: str) -> bool:
    if is_sentence(cell):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False


def _table(text: str, tabs: bool) -> _Table:
    lines = list(io.StringIO(text.rstrip(), newline=""))
    first = next(at for at, line in enumerate(lines) if line.strip())
    said = _SEP_LINE.fullmatch(lines[first])
    if said is not None and len(lines) > first + 1:
        return _Table(lines, first + 1, said[1])
    return _Table(lines, first, _delimiter_of(lines[first:], tabs=tabs))


def _delimiter_of(lines: list[str], *, tabs: bool) -> str:
    """The first under which the header has a column that is understood; else one that divides every line alike.

    Where there is none, `tabs` are meant if they are said to be, or else what divides the header.
    """
    delimiters = ("\t" + _DELIMITERS.replace("\t", "")) if tabs else _DELIMITERS
    divided = {delimiter: _divided(lines[0], delimiter) for delimiter in delimiters}
    understood = (delimiter for delimiter, cells in divided.items() if _understood(cells))
    if (found := next(understood, None)) is not None or tabs:
        return found or "\t"
    dividing = [delimiter for delimiter, cells in divided.items() if len(cells) > 1]
    alike = (
        delimiter
        for delimiter in sorted(dividing, key=_SELDOM_IN_SENTENCES.index)
        if {len(_divided(line, delimiter)) for line in lines[:_LINES_COMPARED]} == {len(divided[delimiter])}
    )
    return next(alike, None) or next(iter(dividing), ",")


def _divided(header: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([header], delimiter=delimiter, strict=True), list[str]())
    except csv.Error:
        return []


def _first_record(name: str, records: Iterator[tuple[int, list[str] | None]]) -> list[str]:
    _, found = next(records)
    if found is None:
        raise SeedFileError(f"{name}: the quotes in the header line do not match. Fix the header.")
    return found


def _below(
    header: list[str], records: Iterator[tuple[int, list[str] | None]], delimiter: str | None = None
) -> Iterator[FileRow]:
    """The rows below `header`; with `delimiter`, a single cell is broken that it would divide into all of them."""
    for row, (line, cells) in enumerate(records, 1):
        if cells is None:
            yield FileRow(row, None, f"line {line}: {_QUOTES}")
            continue
        if (
            delimiter
            and len(cells) == 1 < len(header) == len(cells[0].split(delimiter))
            and (whole := cells[0].strip())
        ):
            yield FileRow(
                row, None, f"line {line}: quotes stand around the whole line, {whole[:40]!r}; quote the cells"
            )
        elif len(cells) > len(header):
            yield FileRow(row, None, f"line {line}: {len(cells)} cells under {len(header)} columns; quote the commas")
        elif nameless := [cell for column, cell in zip(header[1:], cells[1:], strict=False) if not column and cell]:
            yield FileRow(row, None, f"line {line}: {nameless[0][:40]!r} stands under no column; quote the commas")
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
        cells = next(csv.reader(feed(), delimiter=table.delimiter, strict=True, skipinitialspace=table.spaced))
    except csv.Error:
        return start + 1, None
    finally:
        csv.field_size_limit(limit)
    return end, cells
