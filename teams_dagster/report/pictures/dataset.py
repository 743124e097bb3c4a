"""Pictures of a dataset: what became of the edits asked for, and how long the texts are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from teams_dagster.core.text import percent, words
from teams_dagster.report.content import LengthAtStep, Stage
from teams_dagster.report.pictures.canvas import (
    BLUE,
    LIGHT,
    SKY,
    counts_along_x,
    legend,
    new_figure,
    note,
    nothing_to_show,
    panel,
    png,
    row_axis,
    whole_numbers,
)

REASONS_NAMED = 3
"""Reasons named beside a bar; the others are counted together."""
TEXT_ROOM = 2.3
"""Width of the axes in lengths of the longest bar: the rest is for the words beside it."""


def yield_funnel(stages: Sequence[Stage]) -> bytes:
    """From the edits asked for to the samples kept: a bar a stage, and beside it what was lost there and why."""
    if not stages or not stages[0].count:
        return nothing_to_show()
    figure = new_figure(height=max(1.8, 0.9 + 0.52 * len(stages)))
    axes = panel(figure, x="edits", y="")
    first = stages[0].count
    for y, stage in enumerate(stages):
        going_on = stage.count - sum(stage.lost.values())
        axes.barh(y, going_on, height=0.62, color=BLUE, label="goes on" if y == 0 else None)
        axes.barh(y, stage.count - going_on, left=going_on, height=0.62, color=LIGHT, label="lost" if y == 0 else None)
        text = f"{stage.count:,} ({percent(stage.count, first, 0)})"
        note(axes, (stage.count, y), text, (5, 6 if stage.lost else 0), fontweight="bold")
        if stage.lost:
            note(axes, (stage.count, y), _losses(stage.lost), (5, -6))
    row_axis(axes, [stage.name for stage in stages])
    axes.set_xlim(0, first)
    counts_along_x(axes)
    axes.set_xticks([tick for tick in axes.get_xticks() if tick <= first])
    axes.set_xlim(0, first * TEXT_ROOM)
    axes.spines["bottom"].set_bounds(0, first)
    axes.xaxis.label.set_horizontalalignment("left")
    axes.xaxis.label.set_x(0)
    legend(axes, loc="lower right", ncols=2)
    return png(figure)


def _losses(lost: Mapping[str, int]) -> str:
    ordered = sorted(lost.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{words(reason)[:22]} {count:,}" for reason, count in ordered[:REASONS_NAMED]]
    if rest := sum(count for _, count in ordered[REASONS_NAMED:]):
        named.append(f"other {rest:,}")
    return "lost: " + ", ".join(named)


def lengths_by_step(lengths: Sequence[LengthAtStep]) -> bytes:
    """Words of the instructions (with input) by step: the median, and the middle 80%."""
    rows = sorted((length for length in lengths if length.texts), key=lambda length: length.step)
    if not rows:
        return nothing_to_show()
    figure = new_figure(height=2.8)
    axes = panel(figure, x="step (0: the seeds)", y="words")
    steps = [row.step for row in rows]
    axes.fill_between(
        steps, [r.low for r in rows], [r.high for r in rows], color=SKY, alpha=0.3, linewidth=0, label="middle 80%"
    )
    axes.vlines(steps, [row.low for row in rows], [row.high for row in rows], color=SKY, linewidth=1)
    axes.plot(steps, [row.median for row in rows], color=BLUE, linewidth=1.8, marker="o", markersize=4, label="median")
    axes.set_ylim(bottom=0)
    whole_numbers(axes)
    legend(axes, loc="upper left")
    return png(figure)
