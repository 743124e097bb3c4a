"""Pictures of the models: how adapters learnt, what they score, what they give away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from teams_dagster.report.pictures.axes import Axes
from teams_dagster.report.pictures.canvas import (
    BLUE,
    CYCLE,
    GREEN,
    GREY,
    INK,
    VERMILION,
    label,
    legend,
    new_figure,
    note,
    nothing_to_show,
    panel,
    png,
    row_axis,
    whole_numbers,
)

if TYPE_CHECKING:
    from teams_dagster.evaluation.privacy import MembershipScore
    from teams_dagster.evaluation.scores import Score
    from teams_dagster.evaluation.win_rate import WinRate
    from teams_dagster.student.curves import TrainingPoint

MODEL_COLOURS = {"base": GREY, "lora": BLUE, "qlora": VERMILION}
"""Models keep their colour in every picture."""


def training_curves(curves: Mapping[str, Sequence[TrainingPoint]]) -> bytes:
    """Training loss (line) and validation loss (dashes, with dots) of each adapter, by update."""
    if not any(curves.values()):
        return nothing_to_show()
    figure = new_figure()
    axes = panel(figure, x="update", y="loss (nats per response token)")
    for (name, curve), colour in zip(curves.items(), _colours(curves), strict=True):
        trained = [(point.step, point.loss) for point in curve if point.loss is not None]
        validated = [(point.step, point.validation_loss) for point in curve if point.validation_loss is not None]
        if trained:
            marker = "o" if len(trained) == 1 else ""
            axes.plot(
                *zip(*trained, strict=True),
                color=colour,
                linewidth=1.4,
                marker=marker,
                label=f"{label(name)}, training",
            )
        if validated:
            axes.plot(
                *zip(*validated, strict=True),
                color=colour,
                linewidth=1.4,
                linestyle=(0, (4, 2)),
                marker="o",
                markersize=4,
                markerfacecolor="white",
                label=f"{label(name)}, validation",
            )
    whole_numbers(axes)
    legend(axes)
    return png(figure)


def evaluation_scores(scores: Sequence[Score]) -> bytes:
    """Choice accuracy, with what a guess scores, and held-out loss; bars are plus and minus one standard error."""
    panels = (
        ("choice_accuracy", "Choice accuracy", "share of questions (higher is better)", "chance"),
        ("heldout_loss", "Held-out loss", "nats per token (lower is better)", "uniform_tokens"),
    )
    shown = {name for name, *_ in panels}
    if not any(score.metric in shown for score in scores):
        return nothing_to_show()
    most = max(sum(score.metric == name for score in scores) for name in shown)
    figure = new_figure(height=max(1.9, 1.1 + 0.34 * most))
    for index, (metric, title, unit, reference) in enumerate(panels, 1):
        axes = panel(figure, (1, 2, index), x=unit, y="", title=title)
        rows = [score for score in scores if score.metric == metric]
        line = next((score.value for score in rows if score.model == reference), None)
        _scores(axes, [score for score in rows if score.model != reference])
        if line is not None and metric == "choice_accuracy":
            axes.axvline(line, color=GREEN, linewidth=1.2, linestyle=(0, (4, 3)), label=f"chance ({line:.2f})")
            axes.set_xlim(0, 1)
            legend(axes, loc="lower right")
    return png(figure)


def _scores(axes: Axes, rows: Sequence[Score]) -> None:
    for y, score in enumerate(rows):
        colour = MODEL_COLOURS.get(score.model, "#333333")
        if score.stderr is not None:
            axes.hlines(y, score.value - score.stderr, score.value + score.stderr, color=colour, linewidth=2)
        axes.plot([score.value], [y], marker="o", markersize=7, color=colour)
        note(axes, (score.value, y), f"{score.value:.3f}", (0, 10), ha="center")
    row_axis(axes, [score.model for score in rows])
    axes.margins(x=0.15)


def win_rates(rates: Sequence[WinRate]) -> bytes:
    """Each model's win rate, as judged and at equal length, with 95% intervals; the line is where neither wins."""
    if not rates:
        return nothing_to_show()
    figure = new_figure(height=1.5 + 0.7 * len(rates))
    axes = panel(figure, x="share of pairs won, ties counted half", y="")
    axes.axvline(0.5, color=GREEN, linewidth=1.2, linestyle=(0, (4, 3)), label="neither wins")
    for y, rate in enumerate(rates):
        colour = MODEL_COLOURS.get(rate.model, INK)
        estimates = (
            (rate.win_rate, rate.ci_low, rate.ci_high, -0.15, colour, "as judged"),
            (rate.length_controlled, rate.lc_low, rate.lc_high, 0.2, "white", "at equal length"),
        )
        for value, low, high, shift, fill, name in estimates:
            if value is None or low is None or high is None:
                continue
            axes.hlines(y + shift, low, high, color=colour, linewidth=2)
            (dot,) = axes.plot([value], [y + shift], marker="o", markersize=7, color=colour, linestyle="")
            dot.set_markerfacecolor(fill)
            dot.set_label(name if y == 0 else "_")
            note(axes, (high, y + shift), f"{value:.2f}", (6, 0), ha="left")
    row_axis(axes, [f"{rate.model} against {rate.against}" for rate in rates])
    axes.set_xlim(-0.02, 1.08)
    legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return png(figure)


def privacy_roc(results: Sequence[MembershipScore]) -> bytes:
    """Each membership attack's ROC on each model, with its area; the diagonal is what guessing gives."""
    drawn = [result for result in results if result.roc]
    if not drawn:
        return nothing_to_show()
    attacks = list(dict.fromkeys(result.attack for result in drawn))
    figure = new_figure(height=3.9 * len(attacks))
    for row, attack in enumerate(attacks, 1):
        title = f"by {label(attack)}" if len(attacks) > 1 else ""
        axes = panel(figure, (len(attacks), 1, row), x="false positive rate", y="true positive rate", title=title)
        _roc(axes, [result for result in drawn if result.attack == attack])
    return png(figure)


def _roc(axes: Axes, results: Sequence[MembershipScore]) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="guessing (AUC 0.50)")
    for result, colour in zip(results, _colours([result.model for result in results]), strict=True):
        x = [point.false_positive_rate for point in result.roc]
        y = [point.true_positive_rate for point in result.roc]
        text = f"{label(result.model)}: AUC {result.auc:.2f} [{result.ci_low:.2f}, {result.ci_high:.2f}]"
        axes.plot(x, y, color=colour, linewidth=1.6, marker="o" if len(x) == 1 else "", label=text)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal", anchor="W")
    legend(axes, loc="center left", bbox_to_anchor=(1.03, 0.5))


def _colours(names: Mapping[str, object] | Sequence[str]) -> list[str]:
    return [MODEL_COLOURS.get(name, CYCLE[(2 + index) % len(CYCLE)]) for index, name in enumerate(names)]
