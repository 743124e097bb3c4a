"""What a run says at its end, in a terminal: plain values in, lines out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from teams_dagster.evaluation.scores import Score as EvaluationScore
from teams_dagster.ledger.costs import Cost
from teams_dagster.policy.comparison import Score as PolicyScore
from teams_dagster.report.text import NANO


@dataclass(frozen=True)
class Made:
    """One asset of a run."""

    asset_key: str
    seconds: float
    reused: bool


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns of equal width, the first to the left and the others to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def made_lines(made: Sequence[Made]) -> list[str]:
    """Each asset with how long it took."""
    return table(
        ("asset", "seconds", ""), [(m.asset_key, f"{m.seconds:.1f}", "reused" if m.reused else "made") for m in made]
    )


def cost_lines(by_role: Sequence[Cost]) -> list[str]:
    """What was asked and paid over the ledger's life, by role."""
    if not by_role:
        return ["Nothing was asked yet."]
    rows = [
        (cost.group["role"] or "-", f"{cost.asked:,}", f"{cost.reused:,}", f"{cost.calls:,}", dollars(cost))
        for cost in by_role
    ]
    return table(("questions by role", "asked", "reused", "calls sent", "cost"), rows)


def dollars(cost: Cost) -> str:
    """What is known of a cost, and how many calls have no price."""
    known = f"${cost.cost_nano_usd / NANO:,.4f}"
    return f"{known} + {cost.unpriced} calls without a price" if cost.unpriced else known


def policy_lines(scores: Iterable[PolicyScore]) -> list[str]:
    """The trained policy beside the baselines, with intervals."""
    rows = [
        (score.policy, f"{score.mean:.3f}", f"{score.ci_low:.3f} to {score.ci_high:.3f}")
        for score in scores
        if score.metric == "accepted_per_query"
    ]
    return table(("policy, held-out seeds", "accepted per query", "95% interval"), rows)


def score_lines(scores: Iterable[EvaluationScore]) -> list[str]:
    """Every score of the models, with its standard error."""
    rows = [
        (f"{s.model} {s.metric}", f"{s.value:.4f}", "" if s.stderr is None else f"± {s.stderr:.4f}", str(s.n))
        for s in scores
    ]
    return table(("score", "value", "stderr", "seeds"), rows)
