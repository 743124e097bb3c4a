"""What is worth looking at in models: curves, scores, attacks, win rates, a token-level training's reward."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from teams_dagster.core.metadata import Details, Picture, Table
from teams_dagster.core.text import interval, number
from teams_dagster.evaluation.paper import PaperRow, paper_columns, paper_rows
from teams_dagster.evaluation.privacy import LOSS, MembershipScore
from teams_dagster.evaluation.rlgf.stored import read_report
from teams_dagster.evaluation.scores import AGAINST_LORA, Score
from teams_dagster.evaluation.statistics import normal_interval
from teams_dagster.evaluation.stored import (
    PAPER_TABLE,
    read_benchmarks,
    read_canaries,
    read_evaluation_scores,
    read_paper_table,
    read_privacy,
    read_win_rates,
)
from teams_dagster.evaluation.uniform_arm import differences
from teams_dagster.evaluation.win_rate import WinRate
from teams_dagster.report.paper import paper_cell
from teams_dagster.report.win_rates import NOT_IDENTIFIABLE, at_equal_length
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.evaluation import PaperTableFacts
from teams_dagster.store.facts.rlgf import RLGFFacts, RLGFScoreFacts
from teams_dagster.student.adapter_config import MODEL, REPORT
from teams_dagster.student.stored import ADAPTERS, read_curve

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


def adapter_preview(artefact: Artefact) -> Details:
    """The training's curve, and where the adapter and its card are."""
    from teams_dagster.report.pictures import training_curves

    kind = artefact.manifest["asset_key"].removesuffix("_model")
    return {
        "training_curve": Picture(training_curves({kind: read_curve(artefact)}), f"Training of the {kind} adapter"),
        "adapter": artefact.folder / MODEL,
        "card": artefact.folder / MODEL / "README.md",
    }


PLOTTED = ("heldout_loss", "choice_accuracy", "choice_accuracy_calibrated")
"""Metrics whose values Dagster plots over time."""


def scores_preview(artefact: Artefact) -> Details:
    """Each model's main scores, all scores as a table and a picture, and what benchmarks rest on."""
    from teams_dagster.report.pictures import evaluation_scores

    scores = read_evaluation_scores(artefact)
    plotted = [s for s in scores if s.model in ("base", *ADAPTERS) and s.metric in PLOTTED]
    rows = [
        (s.model, s.task, s.metric, f"{s.value:.4f}", "-" if s.stderr is None else f"{s.stderr:.4f}", s.n)
        for s in scores
    ]
    return {
        **{f"{score.model}_{score.metric}": score.value for score in plotted},
        "picture": Picture(evaluation_scores(scores), "Scores"),
        "scores": Table(("model", "task", "metric", "value", "stderr", "seeds"), rows),
        **benchmarks_preview(artefact),
    }


def benchmarks_preview(artefact: Artefact) -> Details:
    """What each benchmark score of an artefact rests on, as a table; nothing where none was asked for."""
    results = read_benchmarks(artefact)
    if not results:
        return {}
    rows = [
        (
            r["model"],
            r["benchmark"],
            ", ".join(sorted({str(shots) for shots in r["record"]["shots"].values()})),
            r["record"]["shots_from"],
            r["record"]["harness_version"],
            r["task_hash"],
            r["cut_off"],
            "cached" if r["cached"] else "asked",
        )
        for r in results
    ]
    header = ("model", "benchmark", "shots", "from", "harness", "task hash", "prompts cut off", "")
    return {"benchmarks": Table(header, rows)}


def privacy_preview(artefact: Artefact) -> Details:
    """The area under the curve of each attack, all results as a table and a picture, and of canaries where asked."""
    from teams_dagster.report.pictures import privacy_roc

    results = read_privacy(artefact)
    return {
        **{f"{r.model}_auc" if r.attack == LOSS else f"{r.model}_{r.attack}_auc": r.auc for r in results},
        "roc": Picture(privacy_roc(results), "ROC of membership inference"),
        "results": membership_table(results),
        "members": results[0].members,
        "non_members": results[0].non_members,
        **_canaries(artefact),
    }


def membership_table(results: Sequence[MembershipScore]) -> Table:
    """One row per attack and model."""
    rates = [point.false_positive_rate for point in results[0].rates]
    rows = [
        (
            r.attack,
            r.model,
            f"{r.auc:.3f}",
            f"{r.ci_low:.3f} to {r.ci_high:.3f}",
            f"{r.auc_minus_base:+.3f}",
            f"{r.minus_base_low:+.3f} to {r.minus_base_high:+.3f}",
            *(f"{point.true_positive_rate:.3f}" for point in r.rates),
            "too small to tell" if r.too_small_to_tell else "",
        )
        for r in results
    ]
    found = tuple(f"found at {rate:.1%} false" for rate in rates)
    return Table(("attack", "model", "AUC", "95% interval", "minus base", "95% interval", *found, ""), rows)


def _canaries(artefact: Artefact) -> Details:
    audit = read_canaries(artefact)
    if audit is None:
        return {}
    return {
        "canary_exposure": audit.exposure,
        "canary_exposure_of_base": audit.base_exposure,
        "canary_exposure_by_guessing": audit.guessed_exposure,
        "canary_exposure_at_most": audit.most_exposure,
        "canaries": membership_table(audit.results),
    }


def win_rate_preview(artefact: Artefact) -> Details:
    """Each adapter's win rates, and all of them as a table and a picture."""
    from teams_dagster.report.pictures import win_rates

    rates = read_win_rates(artefact)
    return {
        **{f"{rate.model}_win_rate": rate.win_rate for rate in rates},
        **{
            f"{rate.model}_length_controlled": NOT_IDENTIFIABLE
            if rate.length_controlled is None
            else rate.length_controlled
            for rate in rates
        },
        **{f"{rate.model}_contradictory": rate.contradictory / rate.pairs for rate in rates},
        "picture": Picture(win_rates(rates), "Win rates"),
        "win_rates": win_rate_table(rates),
    }


def win_rate_table(rates: Sequence[WinRate]) -> Table:
    """A row for each pair of models: what was judged, the win rate with its interval, and the same at equal length."""
    columns = ("model", "against", "pairs", "wins", "ties", "losses", "unclear", "win rate", "95% interval")
    more = ("length-controlled", "95% interval", "first place", "characters")
    rows = [
        (
            *(rate.model, rate.against, rate.pairs, rate.wins, rate.ties, rate.losses, rate.unclear),
            *(number(rate.win_rate), interval(rate.ci_low, rate.ci_high)),
            *at_equal_length(rate),
            *(number(rate.first_place_share), f"{rate.mean_length:.0f} / {rate.mean_length_base:.0f}"),
        )
        for rate in rates
    ]
    return Table((*columns, *more), rows)


def paper_table_preview(artefact: Artefact) -> Details:
    """The paper's numbers with ours beside them; why the uniform arm is not among them, where it is not."""
    values = read_paper_table(artefact)
    columns = paper_columns(values)
    rows = [_paper_cells(row, columns) for row in paper_rows(values)]
    note = artefact.read_facts(PaperTableFacts).note
    return {
        PAPER_TABLE: Table(("", *columns.values(), "source of the paper's numbers"), rows),
        **({"note": note} if note else {}),
    }


def _paper_cells(row: PaperRow, columns: Iterable[str]) -> tuple[str, ...]:
    cells = (paper_cell(row.cells.get(column)) for column in columns)
    return (f"{row.fact.quantity} ({row.fact.unit})", *cells, row.fact.note)


MEASURED = ("reward", "perplexity", "distinct_1", "distinct_2", "length", "ended", "kl")
"""The metrics that are shown of each evaluation."""


def rlgf_preview(artefact: Artefact) -> Details:
    """Reward and KL after the training, every evaluation, and the batches' mean rewards."""
    facts, report = artefact.read_facts(RLGFFacts), read_report(artefact.path(REPORT))
    return {
        "reward_before": facts.before.reward,
        "reward_after": facts.after.reward,
        "kl_after": facts.after.kl,
        "perplexity_after": facts.after.perplexity,
        "evaluations": Table(("updates", "tokens", *MEASURED), list(_evaluations(report["evaluations"]))),
        "rewards": Table(
            ("iteration", "reward", "learner tokens", "guide tokens"),
            [
                (each["iteration"] + 1, number(each["reward"]), each["learner_tokens"], each["guide_tokens"])
                for each in report["records"]
            ],
        ),
    }


def rlgf_scores_preview(artefact: Artefact) -> Details:
    """The last stage's figures, win rates, and membership inference; the comparison is among the facts."""
    *_, last = artefact.read_facts(RLGFScoreFacts).stages
    rates = read_win_rates(artefact)
    return {
        "rlgf_heldout_loss": last.heldout_loss,
        "rlgf_choice_accuracy": last.choice_accuracy,
        **{f"{rate.model}_win_rate_against_{rate.against}": rate.win_rate for rate in rates},
        "win_rates": win_rate_table(rates),
        "membership": membership_table(read_privacy(artefact)),
    }


def _evaluations(evaluations: list[dict[str, Any]]) -> Iterator[tuple[object, ...]]:
    for each in evaluations:
        yield each["iteration"], each["tokens"], *(number(each["metrics"][name]) for name in MEASURED)
