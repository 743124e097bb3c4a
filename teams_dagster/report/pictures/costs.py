"""Picture of the account: who was asked how much, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence

from teams_dagster.ledger.costs import Cost
from teams_dagster.report.pictures.canvas import (
    BLUE,
    GREEN,
    SKY,
    counts_along_x,
    legend,
    new_figure,
    note,
    nothing_to_show,
    panel,
    png,
    row_axis,
)
from teams_dagster.report.text import NANO, money


def costs(groups: Sequence[Cost], most: int = 12) -> bytes:
    """Questions asked (sent, or answered from the ledger) and dollars, by the first column that `groups` tell apart.

    Beyond the `most` biggest groups nothing is drawn.
    """
    rows = sorted((group for group in groups if group.asked or group.calls), key=lambda group: -group.asked)[:most]
    if not rows:
        return nothing_to_show()
    names = [next((value for value in row.group.values()), None) or "(none)" for row in rows]
    figure = new_figure(height=max(1.9, 1.1 + 0.36 * len(rows)))
    left = panel(figure, (1, 2, 1), x="questions asked", y="")
    for y, row in enumerate(rows):
        sent = row.asked - row.reused
        left.barh(y, sent, height=0.6, color=BLUE, label="sent" if y == 0 else None)
        left.barh(y, row.reused, left=sent, height=0.6, color=SKY, label="answered from the ledger" if y == 0 else None)
        note(left, (row.asked, y), f"{row.asked:,}")
    row_axis(left, names)
    left.set_xlim(0, max(row.asked for row in rows) * 1.3 or 1)
    counts_along_x(left)
    right = panel(figure, (1, 2, 2), x="cost (US dollars)", y="")
    dollars = [row.cost_nano_usd / NANO for row in rows]
    right.barh(range(len(rows)), dollars, height=0.6, color=GREEN)
    for y, (row, cost) in enumerate(zip(rows, dollars, strict=True)):
        note(right, (cost, y), money(row.cost_nano_usd, row.unpriced))
    row_axis(right, [""] * len(rows))
    right.set_xlim(0, max(dollars) * 1.6 or 1)
    right.locator_params(axis="x", nbins=4)
    legend(figure, loc="outside lower left", ncols=2)
    return png(figure)
