"""Pictures of policies beside each other: what each scores, and by how much the trained one exceeds each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from teams_dagster.core.text import words
from teams_dagster.policy.baselines import CEILING, UNIFORM
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.report.pictures.canvas import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT,
    VERMILION,
    new_figure,
    nothing_to_show,
    panel,
    png,
    row_axis,
)
from teams_dagster.report.policies import grouped, in_order
from teams_dagster.report.policy_scores import is_clear, minus, others_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from teams_dagster.policy.comparison.scores import Score

DIFFERENCES = ("accepted_per_query", "accepted_per_episode")

_COLOURS = {TRAINED: BLUE, UNIFORM: VERMILION, CEILING: GREEN}
_ROW = 0.25
"""Inches."""


@dataclass(frozen=True)
class _Line:
    """A line of a chart: a policy's, or the title of a group."""

    text: str
    policy: str | None


def policies_compared(scores: Sequence[Score], metric: str) -> bytes:
    """Every policy's mean of `metric` with its 95% interval, group by group, the trained one and the best first.

    Uniform is hollow; dashed lines go through uniform and through the ceiling.
    """
    found = {score.policy: score for score in scores if score.metric == metric}
    if not found:
        return nothing_to_show()
    lines = _lines(sorted(found, key=lambda policy: -found[policy].mean), leaders=(TRAINED,))
    figure = new_figure(height=_height(lines))
    axes = panel(figure, x=f"{words(metric)} (mean, 95% interval)", y="")
    for policy, place in _references(found, metric).items():
        axes.axvline(place, color=_COLOURS[policy], linewidth=1, linestyle=(0, (4, 3)), alpha=0.7, zorder=1)
    for y, line in _rows(axes, lines):
        _interval(axes, y, found[line], _COLOURS.get(line, INK), hollow=line == UNIFORM)
    return png(figure)


def differences(scores: Sequence[Score], metrics: Sequence[str] = DIFFERENCES) -> bytes:
    """The trained policy less each other one with 95% intervals, a chart for each of `metrics`.

    Blue is above zero, vermilion below, grey cannot be told from it.
    """
    found = {score.metric: score for score in scores if score.policy == TRAINED}
    others = in_order(others_of(found, metrics))
    if not others:
        return nothing_to_show()
    lines = _lines(others)
    figure = new_figure(height=_height(lines))
    for index, metric in enumerate(metrics, 1):
        title = words(metric).capitalize()
        axes = panel(figure, (1, len(metrics), index), x="trained minus the other (95% interval)", y="", title=title)
        axes.axvline(0, color=INK, linewidth=1, zorder=1)
        for y, other in _rows(axes, lines, named=index == 1):
            if score := found.get(minus(metric, other)):
                _interval(axes, y, score, GREY if not is_clear(score) else BLUE if score.mean > 0 else VERMILION)
    return png(figure)


def _lines(policies: Sequence[str], leaders: Sequence[str] = ()) -> list[_Line]:
    """The policies in their groups, in the order given but for `leaders`, under titles where there are several."""
    groups = grouped(policies)
    place = {policy: index for index, policy in enumerate([*leaders, *(p for p in policies if p not in leaders)])}
    lines = []
    for title, names in groups:
        if len(groups) > 1:
            lines.append(_Line(title, None))
        lines += [_Line(name, name) for name in sorted(names, key=place.__getitem__)]
    return lines


def _height(lines: Sequence[_Line]) -> float:
    return max(1.7, 0.9 + _ROW * len(lines))


def _rows(axes: Axes, lines: Sequence[_Line], named: bool = True) -> Iterator[tuple[int, str]]:
    """Rule the lines of a chart; the place and name of each policy."""
    row_axis(axes, [line.text if named else "" for line in lines])
    for y, (line, written) in enumerate(zip(lines, axes.get_yticklabels(), strict=True)):
        if line.policy is None:
            written.set_fontweight("bold")
        else:
            axes.axhline(y, color=LIGHT, linewidth=0.6, zorder=0)
            yield y, line.policy


def _interval(axes: Axes, y: int, score: Score, colour: str, hollow: bool = False) -> None:
    axes.hlines(y, score.ci_low, score.ci_high, color=colour, linewidth=2)
    face = "white" if hollow else colour
    axes.plot([score.mean], [y], marker="o", markersize=4.5, color=colour, markerfacecolor=face, markeredgewidth=1.4)


def _references(found: Mapping[str, Score], metric: str) -> dict[str, float]:
    """Where uniform and the ceiling stand."""
    places = {policy: found[policy].mean for policy in (UNIFORM, CEILING) if policy in found}
    if metric.endswith("_minus_uniform"):
        return {**places, UNIFORM: 0.0}
    if metric.endswith("_over_uniform"):
        return {**places, UNIFORM: 1.0}
    return places
