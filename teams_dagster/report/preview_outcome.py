"""What is worth looking at in an outcome study: first what it could have seen, then what it saw."""

from __future__ import annotations

from collections.abc import Sequence

from teams_dagster.core.metadata import Details, Table
from teams_dagster.core.text import interval, number, signed
from teams_dagster.evaluation.outcome.plan import ARMS, BASE, COMPARED
from teams_dagster.evaluation.outcome.scores import (
    CANNOT_TELL,
    MEASURES,
    MINUS,
    SMALLEST,
    Measure,
    OutcomeScore,
    verdict,
)
from teams_dagster.evaluation.outcome.study import read_outcome_scores
from teams_dagster.store.artefact_store import Artefact

NOT_KNOWN = "not known: nothing varied"


def outcome_preview(artefact: Artefact) -> Details:
    """The study's tables, and how many of its differences are clear."""
    return outcome_tables(read_outcome_scores(artefact))


def outcome_tables(scores: Sequence[OutcomeScore]) -> Details:
    """The smallest differences that could be seen, the differences that were, and every arm's scores."""
    known = {(score.model, score.task, score.metric): score for score in scores}
    columns = [measure.name for measure in MEASURES]
    smallest: list[tuple[str, ...]] = []
    seen: list[tuple[str, ...]] = []
    clear = 0
    for ours, other in COMPARED:
        found = [known[ours, m.task, f"{m.metric}{MINUS}{other}"] for m in MEASURES]
        least = [known.get((ours, m.task, f"{m.metric}{MINUS}{other}{SMALLEST}")) for m in MEASURES]
        title = f"{ours} less {other}"
        smallest.append((title, *(NOT_KNOWN if score is None else number(score.value) for score in least)))
        seen.append((title, *(_difference(m, score) for m, score in zip(MEASURES, found, strict=True))))
        clear += sum(_told(m, score) != CANNOT_TELL for m, score in zip(MEASURES, found, strict=True))
    arms = [(arm, *(_level(known[arm, m.task, m.metric]) for m in MEASURES)) for arm in (BASE, *ARMS)]
    return {
        "smallest_detectable_differences": Table(("difference", *columns), smallest),
        "differences": Table(("difference", *columns), seen),
        "clear_differences": clear,
        "scores": Table(("arm", *columns), arms),
    }


def _difference(measure: Measure, score: OutcomeScore) -> str:
    return f"{signed(score.value)} [{_interval(score)}] {_told(measure, score)}"


def _told(measure: Measure, score: OutcomeScore) -> str:
    return verdict(score.value, score.ci_low, score.ci_high, lower_is_better=measure.lower_is_better)


def _level(score: OutcomeScore) -> str:
    return f"{number(score.value)} [{_interval(score)}]"


def _interval(score: OutcomeScore) -> str:
    if score.ci_low is None or score.ci_high is None:
        return NOT_KNOWN
    return interval(score.ci_low, score.ci_high)
