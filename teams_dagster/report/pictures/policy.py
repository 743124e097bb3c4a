"""Pictures of policies: how one learnt, what it chooses, and what it scores beside the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from teams_dagster.core.text import words
from teams_dagster.policy.baselines import CEILING, UNIFORM
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.report.content import OperationAtStep
from teams_dagster.report.pictures.axes import Axes
from teams_dagster.report.pictures.canvas import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT,
    ORANGE,
    PURPLE,
    TINTS,
    VERMILION,
    label,
    legend,
    name_colours,
    new_figure,
    nothing_to_show,
    operation_order,
    panel,
    png,
    row_axis,
    swatches,
    whole_numbers,
)
from teams_dagster.report.policies import algorithm_name, grouped, in_order
from teams_dagster.report.policy_scores import is_clear, others_of
from teams_dagster.report.policy_sentences import difference_metric

if TYPE_CHECKING:
    from teams_dagster.policy.comparison.scores import Score
    from teams_dagster.policy.curve import IterationRecord


DIFFERENCES = ("distinct_accepted_per_query", "accepted_per_episode")


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
            if score := found.get(difference_metric(metric, other)):
                _interval(axes, y, score, GREY if not is_clear(score) else BLUE if score.mean > 0 else VERMILION)
    return png(figure)


def _lines(policies: Sequence[str], leaders: Sequence[str] = ()) -> list[_Line]:
    """The policies in their groups, in the order given but for `leaders`, under titles where there are several."""
    groups = grouped(policies)
    place = {policy: index for index, policy in enumerate([*leaders, *(p for p in policies if p not in leaders)])}
    lines: list[_Line] = []
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


def learning_curve(curve: Sequence[IterationRecord]) -> bytes:
    """How the policy learnt, in six charts by iteration; grounds tell apart the phases of an algorithm that has two."""
    if not curve:
        return nothing_to_show()
    phases = list(dict.fromkeys(record.phase for record in curve))
    figure = new_figure(height=4.4)
    for index, (title, unit, values, colour) in enumerate(_charts(curve), 1):
        axes = panel(figure, (2, 3, index), x="iteration" if index > 3 else "", y=unit, title=title)
        _phase_grounds(axes, curve, phases)
        points = [(r.iteration, value) for r, value in zip(curve, values, strict=True) if value is not None]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.6, marker="o", markersize=2.5)
        else:
            axes.text(0.5, 0.5, "none was needed", transform=axes.transAxes, ha="center", fontsize=8, color=GREY)
        whole_numbers(axes)
    if len(phases) > 1:
        names = [label(algorithm_name(phase)) for phase in phases]
        swatches(figure, dict(zip(names, _tints(phases), strict=True)))
    return png(figure)


def _charts(curve: Sequence[IterationRecord]) -> Sequence[tuple[str, str, Sequence[float | None], str]]:
    """Title, unit, values and colour of each chart. Returns and edits are of the policy's own steps where it had any.

    Queries to the guide take the last place where there are any.
    """
    guided = any(record.guidance_queries for record in curve)
    own = [record.acted for record in curve]
    return (
        ("Return", "mean per episode", [record.own_return for record in curve], BLUE),
        ("Accepted per query", "edits / query", [record.accepted_per_query for record in own], BLUE),
        ("Entropy of the policy", "nats", [record.entropy for record in curve], ORANGE),
        ("KL of the update", "nats", [record.kl for record in curve], ORANGE),
        ("Variance explained", "share, by the critic", [record.explained_variance for record in curve], GREEN),
        ("Asked of the guide", "queries", [record.guidance_queries for record in curve], PURPLE)
        if guided
        else ("Accepted per episode", "edits / episode", [record.accepted_per_episode for record in curve], BLUE),
    )


def _phase_grounds(axes: Axes, curve: Sequence[IterationRecord], phases: list[str]) -> None:
    """A ground under each run of iterations of one phase."""
    tints = dict(zip(phases, _tints(phases), strict=True))
    for phase, run in groupby(curve, key=lambda record: record.phase):
        iterations = [record.iteration for record in run]
        axes.axvspan(iterations[0] - 0.5, iterations[-1] + 0.5, color=tints[phase], linewidth=0, zorder=0)


def _tints(phases: list[str]) -> list[str]:
    return [TINTS[index % len(TINTS)] for index in range(len(phases))]


def operation_mix(curve: Sequence[IterationRecord]) -> bytes:
    """The share of each operation among the policy's choices, by iteration."""
    if not curve:
        return nothing_to_show()
    names = operation_order({name for record in curve for name in record.operation_mix})
    iterations = [record.iteration for record in curve]
    shares = [[100 * record.operation_mix.get(name, 0.0) for record in curve] for name in names]
    if len(curve) == 1:
        return _shares([str(iterations[0])], names, shares, x="iteration")
    figure = new_figure()
    axes = panel(figure, x="iteration", y="share of choices (%)")
    colours = name_colours(names)
    labels = [label(name) for name in names]
    axes.stackplot(iterations, shares, colors=[colours[name] for name in names], labels=labels, linewidth=0)
    axes.set_xlim(iterations[0], iterations[-1])
    axes.set_ylim(0, 100)
    whole_numbers(axes)
    _legend_beside(axes)
    return png(figure)


def operation_mix_by_step(choices: Sequence[OperationAtStep]) -> bytes:
    """The share of each operation among the choices at each step of the episodes."""
    totals: dict[int, int] = {}
    for choice in choices:
        totals[choice.step] = totals.get(choice.step, 0) + choice.chosen
    steps = sorted(step for step, total in totals.items() if total)
    if not steps:
        return nothing_to_show()
    names = operation_order({choice.operation for choice in choices})
    chosen = {(choice.step, choice.operation): choice.chosen for choice in choices}
    shares = [[100 * chosen.get((step, name), 0) / totals[step] for step in steps] for name in names]
    return _shares([f"{step}\n{totals[step]:,}" for step in steps], names, shares, x="step, and choices made there")


def _shares(ticks: list[str], names: list[str], shares: list[list[float]], x: str) -> bytes:
    figure = new_figure()
    axes = panel(figure, x=x, y="share of choices (%)")
    colours = name_colours(names)
    bottom = [0.0] * len(ticks)
    for name, values in zip(names, shares, strict=True):
        axes.bar(range(len(ticks)), values, bottom=bottom, width=0.7, color=colours[name], label=label(name))
        bottom = [low + value for low, value in zip(bottom, values, strict=True)]
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlim(-0.7, max(len(ticks), 2) - 0.3)
    axes.set_ylim(0, 100)
    axes.grid(visible=False, axis="x")
    _legend_beside(axes)
    return png(figure)


def _legend_beside(axes: Axes) -> None:
    """The legend right of the axes, in the order in which the colours lie on each other."""
    legend(axes, loc="center left", bbox_to_anchor=(1.01, 0.5), reverse=True)
