"""Pictures over generations and steps: what a kept sample took, how long and how distinct the texts are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from teams_dagster.core.text import NANO
from teams_dagster.report.content import GenerationResults
from teams_dagster.report.pictures.canvas import (
    BLUE,
    GREEN,
    HEIGHT,
    SKY,
    label,
    new_figure,
    nothing_to_show,
    panel,
    png,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    """Four line charts over generations: samples kept, words, questions and dollars for a kept sample."""
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
