"""Pictures of the policy: how it learnt, and what it chooses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from teams_dagster.report.content import OperationAtStep
from teams_dagster.report.pictures.canvas import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    TINTS,
    label,
    legend,
    name_colours,
    new_figure,
    nothing_to_show,
    operation_order,
    panel,
    png,
    swatches,
    whole_numbers,
)
from teams_dagster.report.policies import algorithm_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from teams_dagster.policy.curve import IterationRecord


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
    """Title, unit, values and colour of each chart: questions to the guide take the last place where there are any."""
    guided = any(record.guidance_queries for record in curve)
    return (
        ("Return", "mean per episode", [record.mean_return for record in curve], BLUE),
        ("Accepted per query", "edits / query", [record.accepted_per_query for record in curve], BLUE),
        ("Entropy of the policy", "nats", [record.entropy for record in curve], ORANGE),
        ("KL of the update", "nats", [record.kl for record in curve], ORANGE),
        ("Variance explained", "share, by the critic", [record.explained_variance for record in curve], GREEN),
        ("Asked of the guide", "questions", [record.guidance_queries for record in curve], PURPLE)
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
