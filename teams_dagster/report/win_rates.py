"""How a rate at equal length reads, where there is one."""

from __future__ import annotations

from teams_dagster.core.text import NOT_A_NUMBER, interval, number
from teams_dagster.evaluation.win_rate import WinRate

NOT_IDENTIFIABLE = "not identifiable"


def at_equal_length(rate: WinRate) -> tuple[str, str]:
    """The length-controlled rate and its interval."""
    if rate.length_controlled is None or rate.lc_low is None or rate.lc_high is None:
        return NOT_IDENTIFIABLE, NOT_A_NUMBER
    return number(rate.length_controlled), interval(rate.lc_low, rate.lc_high)
