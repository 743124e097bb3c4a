"""Pictures of the policy: how it learnt, what it chooses, how it compares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from teams_dagster.report.content import OperationAtStep
from teams_dagster.report.pictures.canvas import (
    BLUE,
    GREY,
    INK,
    LIGHT,
    ORANGE,
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
    whole_numbers,
)
from teams_dagster.report.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from teams_dagster.policy.comparison.scores import Score
    from teams_dagster.policy.curve import IterationRecord

UNIFORM = "uniform"


def learning_curve(curve: Sequence[IterationRecord]) -> bytes:
    """Return, accepted per query, entropy and the updates' KL, each by iteration."""
    if not curve:
        return nothing_to_show()
    figure = new_figure(height=4.2)
    panels = (
        ("Return", "mean per episode", [record.mean_return for record in curve], BLUE),
        ("Accepted per query", "edits / query", [record.accepted_per_query for record in curve], BLUE),
        ("Entropy of the policy", "nats", [record.entropy for record in curve], ORANGE),
        ("KL of the update", "nats", [record.kl for record in curve], ORANGE),
    )
    iterations = [record.iteration for record in curve]
    for index, (title, unit, values, colour) in enumerate(panels, 1):
        axes = panel(figure, (2, 2, index), x="iteration" if index > 2 else "", y=unit, title=title)
        axes.plot(iterations, values, color=colour, linewidth=1.6, marker="o", markersize=2.5)
        whole_numbers(axes)
    return png(figure)


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


def policies_compared(scores: Sequence[Score], metric: str) -> bytes:
    """Every policy's mean of `metric` with its 95% interval; uniform is hollow, with a line through it."""
    rows = [score for score in scores if score.metric == metric]
    if not rows:
        return nothing_to_show()
    rows.sort(key=lambda score: (score.policy != "trained", -score.mean))
    figure = new_figure(height=max(1.7, 0.9 + 0.38 * len(rows)))
    axes = panel(figure, x=f"{words(metric)} (mean, 95% interval)", y="")
    reference = _reference(rows, metric)
    if reference is not None:
        axes.axvline(reference, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for y, score in enumerate(rows):
        colour = {"trained": BLUE, UNIFORM: VERMILION}.get(score.policy, INK)
        axes.hlines(y, score.ci_low, score.ci_high, color=colour, linewidth=2)
        face = "white" if score.policy == UNIFORM else colour
        axes.plot([score.mean], [y], marker="o", markersize=7, color=colour, markerfacecolor=face, markeredgewidth=1.8)
    row_axis(axes, [score.policy for score in rows])
    for y in range(len(rows)):
        axes.axhline(y, color=LIGHT, linewidth=0.6, zorder=0)
    return png(figure)


def _reference(rows: Sequence[Score], metric: str) -> float | None:
    """Where uniform stands."""
    if metric.endswith("_minus_uniform"):
        return 0.0
    if metric.endswith("_over_uniform"):
        return 1.0
    return next((score.mean for score in rows if score.policy == UNIFORM), None)
