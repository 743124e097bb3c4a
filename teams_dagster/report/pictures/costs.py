"""Pictures of the account (who was asked how much, at what cost), and of what generations and steps brought for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from teams_dagster.core.text import NANO, money
from teams_dagster.ledger.costs import Cost
from teams_dagster.report.content import GenerationResults
from teams_dagster.report.pictures.axes import Axes
from teams_dagster.report.pictures.canvas import (
    BLUE,
    GREEN,
    GREY,
    HEIGHT,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    counts_along_x,
    label,
    legend,
    new_figure,
    note,
    nothing_to_show,
    operation_order,
    panel,
    png,
    row_axis,
)

if TYPE_CHECKING:
    from teams_dagster.policy.comparison.distinctness import Measure


ROOM = 32
"""Characters of names along x that have room beside each other."""


_LENGTH = "Length: median, middle 80%"


_DIVERSITY = (
    ("distinct_1", "Distinct 1", "share of words"),
    ("distinct_2", "Distinct 2", "share of word pairs"),
    ("nearest_similarity", "Nearest similarity", "less: more diverse"),
    ("vendi_score", "Vendi score", "effective texts"),
)


def generations(results: Sequence[GenerationResults]) -> bytes:
    """Four line charts over generations: samples kept, words, queries and dollars for a kept sample."""
    if not results:
        return nothing_to_show()
    names = [result.partition_key for result in results]
    figure = new_figure(height=1.25 * HEIGHT)
    charts = (
        ("Samples kept", "in the dataset", BLUE, [float(result.kept) for result in results]),
        (_LENGTH, "words", BLUE, [result.median for result in results]),
        ("Questions", "for a kept sample", BLUE, [_or_nan(result.questions_per_sample) for result in results]),
        ("Dollars", "for a kept sample", GREEN, [_or_nan(result.nano_usd_per_sample) / NANO for result in results]),
    )
    for index, (title, y, colour, values) in enumerate(charts, start=1):
        axes = panel(figure, (2, 2, index), x="generation" if index > 2 else "", y=y, title=title)
        axes.plot(range(len(values)), values, color=colour, linewidth=1.6, marker="o", markersize=4)
        if title == _LENGTH:
            _band(axes, [result.low for result in results], [result.high for result in results])
        _from_zero(axes)
        _named_along_x(axes, names)
    return png(figure)


def diversity(measures: Sequence[Measure], x: str) -> bytes:
    """Four line charts with 95% bands: how distinct the texts of each set are, in the order of the sets; `x` says what
    a set is."""
    if not measures:
        return nothing_to_show()
    names = list(dict.fromkeys(measure.policy for measure in measures))
    found = {(measure.policy, measure.metric): measure for measure in measures}
    figure = new_figure(height=1.25 * HEIGHT)
    for index, (metric, title, y) in enumerate(_DIVERSITY, start=1):
        axes = panel(figure, (2, 2, index), x=x if index > 2 else "", y=y, title=title)
        there = [found.get((name, metric)) for name in names]
        means = [measure.mean if measure else math.nan for measure in there]
        axes.plot(range(len(names)), means, color=BLUE, linewidth=1.6, marker="o", markersize=4)
        _band(axes, [m.ci_low if m else math.nan for m in there], [m.ci_high if m else math.nan for m in there])
        _from_zero(axes)
        _named_along_x(axes, names)
    return png(figure)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _band(axes: Axes, low: Sequence[float], high: Sequence[float]) -> None:
    axes.fill_between(range(len(low)), low, high, color=SKY, alpha=0.3, linewidth=0)
    axes.vlines(range(len(low)), low, high, color=SKY, linewidth=1)


def _from_zero(axes: Axes) -> None:
    _, top = axes.get_ylim()
    axes.set_ylim(0, 1.08 * top if top > 0 else 1)


def _named_along_x(axes: Axes, names: Sequence[str]) -> None:
    most = ROOM // max(len(name) for name in names)
    shown = range(0, len(names), math.ceil(len(names) / max(1, most)))
    axes.set_xticks(list(shown), [label(names[place], limit=12) for place in shown])
    axes.set_xlim(-0.4, len(names) - 0.6)


ROLE_COLOURS = {"expert": VERMILION, "reviewer": SKY, "instructor": BLUE, "guide": ORANGE, "judge": PURPLE}
"""Roles keep their colour; others are grey."""

NO_OPERATION = "(no operation)"
"""What queries that belong to no operation are called: answers, mostly."""


def costs(groups: Sequence[Cost], most: int = 12) -> bytes:
    """Queries asked (sent, or answered from the ledger) and dollars, by the first column that `groups` tell apart.

    Beyond the `most` biggest groups nothing is drawn.
    """
    rows = sorted((group for group in groups if group.asked or group.calls), key=lambda group: -group.asked)[:most]
    if not rows:
        return nothing_to_show()
    names = [next((value for value in row.group.values()), None) or "(none)" for row in rows]
    figure = new_figure(height=max(1.9, 1.1 + 0.36 * len(rows)))
    left = panel(figure, (1, 2, 1), x="queries asked", y="")
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


def costs_by_role_and_operation(groups: Sequence[Cost]) -> bytes:
    """Queries asked and dollars by operation, each bar made of the roles that were asked.

    `groups` tell role and operation apart, in this order.
    """
    found = {tuple(group.group.values()): group for group in groups if group.asked or group.calls}
    if not found:
        return nothing_to_show()
    held = {operation for _, operation in found}
    operations = [*operation_order({name for name in held if name}), *([None] if None in held else [])]
    roles = sorted({role for role, _ in found}, key=_role_order)
    figure = new_figure(height=1.3 + 0.36 * len(operations))
    left = panel(figure, (1, 2, 1), x="queries asked", y="")
    right = panel(figure, (1, 2, 2), x="cost (US dollars)", y="")
    asked, paid = [0.0] * len(operations), [0.0] * len(operations)
    for role in roles:
        of_role = [found.get((role, operation), Cost({})) for operation in operations]
        questions, dollars = [group.asked for group in of_role], [group.cost_nano_usd / NANO for group in of_role]
        colour, named = ROLE_COLOURS.get(role or "", GREY), label(role or "(no role)")
        left.barh(range(len(operations)), questions, left=asked, height=0.6, color=colour, label=named)
        right.barh(range(len(operations)), dollars, left=paid, height=0.6, color=colour)
        asked = [before + more for before, more in zip(asked, questions, strict=True)]
        paid = [before + more for before, more in zip(paid, dollars, strict=True)]
    for axes, totals in ((left, asked), (right, paid)):
        axes.set_xlim(0, max(totals) * 1.05 or 1)
    row_axis(left, [operation or NO_OPERATION for operation in operations])
    row_axis(right, [""] * len(operations))
    counts_along_x(left)
    right.locator_params(axis="x", nbins=4)
    legend(figure, loc="outside lower left", ncols=len(roles))
    return png(figure)


def _role_order(role: str | None) -> tuple[int, str]:
    known = list(ROLE_COLOURS)
    return (known.index(role) if role in known else len(known)), role or ""
