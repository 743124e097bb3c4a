"""The paper's table as people read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from teams_dagster.evaluation.paper import COLUMNS, Cell, PaperRow
from teams_dagster.report.text import interval, number


@dataclass(frozen=True)
class PaperLine:
    """A row: the figure, a number and its interval in each column of `COLUMNS`, the source."""

    figure: str
    cells: tuple[tuple[str, str], ...]
    """Empty where nothing is known."""
    source: str


def paper_lines(rows: Sequence[PaperRow]) -> list[PaperLine]:
    """The rows as text."""
    return [PaperLine(r.figure, tuple(_text(r.cells.get(column)) for column in COLUMNS), r.source) for r in rows]


def _text(cell: Cell | None) -> tuple[str, str]:
    if cell is None:
        return "", ""
    value = number(int(cell.value)) if cell.value == int(cell.value) and cell.low is None else number(cell.value)
    return value, "" if cell.low is None or cell.high is None else f"({interval(cell.low, cell.high)})"
