"""What is worth looking at in the uniform arm's scores."""

from __future__ import annotations

from collections.abc import Sequence

from teams_dagster.core.metadata import Details, Table
from teams_dagster.evaluation.scores import AGAINST_LORA, Score
from teams_dagster.evaluation.statistics import normal_interval
from teams_dagster.evaluation.uniform_arm import differences

_COLUMNS = ("model", "task", "metric", "value", "95% interval", "seeds")


def uniform_scores_preview(scores: Sequence[Score]) -> Details:
    """Every score, and apart the paired differences lora_uniform minus lora, which are numbers of their own too."""
    rows = [(s.model, s.task, s.metric, f"{s.value:.4f}", _interval(s), s.n) for s in scores]
    return {
        **{f"{score.task}_{score.metric}": score.value for score in differences(scores)},
        "differences": Table(_COLUMNS, [row for row in rows if row[2].endswith(AGAINST_LORA)]),
        "scores": Table(_COLUMNS, rows),
    }


def _interval(score: Score) -> str:
    low, high = normal_interval(score.value, score.stderr)
    return "-" if low is None else f"{low:+.4f} to {high:+.4f}"
