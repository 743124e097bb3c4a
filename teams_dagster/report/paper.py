"""Cells of the paper's table."""

from __future__ import annotations

from teams_dagster.core.text import interval, number
from teams_dagster.evaluation.paper import PaperValue

DIGITS = 4


def paper_number(value: PaperValue) -> str:
    """The number: counts whole, others with as many decimals as the paper's have."""
    whole = float(value.value).is_integer() and abs(value.value) >= 1
    return number(int(value.value) if whole else value.value, DIGITS)


def paper_interval(value: PaperValue) -> str:
    """Its interval; nothing where it has none."""
    return "" if value.ci_low is None or value.ci_high is None else interval(value.ci_low, value.ci_high, DIGITS)


def paper_cell(value: PaperValue | None) -> str:
    """Both in a line; nothing where the number is not known."""
    if value is None:
        return ""
    told = paper_interval(value)
    return f"{paper_number(value)} ({told})" if told else paper_number(value)
