"""Cells of the paper's table."""

from __future__ import annotations

from teams_dagster.evaluation.paper import PaperValue
from teams_dagster.report.text import interval, number


def paper_cell(value: PaperValue | None) -> str:
    """A number with its interval, where it has one; nothing where the number is not known."""
    if value is None:
        return ""
    told = number(int(value.value) if float(value.value).is_integer() and abs(value.value) >= 1 else value.value)
    if value.ci_low is None or value.ci_high is None:
        return told
    return f"{told} ({interval(value.ci_low, value.ci_high)})"
