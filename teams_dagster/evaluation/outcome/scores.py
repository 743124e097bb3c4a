"""From what was found of the students to scores, differences, and the smallest difference that the study could see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from teams_dagster.evaluation.constraints.prompts import ACCURACIES, followed, weight
from teams_dagster.evaluation.outcome.crossed import CrossedEstimate, crossed
from teams_dagster.evaluation.outcome.items import Items
from teams_dagster.evaluation.outcome.plan import BASE, COMPARED
from teams_dagster.evaluation.outcome.students import Measured
from teams_dagster.evaluation.statistics import Estimate, clustered_ratio, normal_interval

PAIRS, CONSTRAINTS = "outcome_pairs", "outcome_constraints"

MINUS = "_minus_"

SMALLEST = "_smallest_detectable"


@dataclass(frozen=True)
class Measure:
    """One number of a student, and what it is made of."""

    task: str
    metric: str
    lower_is_better: bool
    values: Callable[[Items, Measured], Sequence[float]]
    """One for each item."""
    weights: Callable[[Items, Measured], Sequence[float]]
    clusters: Callable[[Items], Sequence[str]]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.metric} ({'people' if self.task == PAIRS else 'prompts'})"


def _losses(items: Items, measured: Measured) -> list[float]:
    return [-p / tokens for p, tokens in zip(measured.log_probabilities, measured.tokens, strict=True)]


def _accuracy(name: str) -> Measure:
    def values(items: Items, measured: Measured) -> list[float]:
        return [followed(prompt, measured.replies[prompt.prompt_id]).value(name) for prompt in items.prompts]

    def weights(items: Items, measured: Measured) -> list[float]:
        return [float(weight(prompt, name)) for prompt in items.prompts]

    return Measure(CONSTRAINTS, name, False, values, weights, lambda items: [p.task_id for p in items.prompts])


MEASURES = (
    Measure(
        PAIRS,
        "loss",
        True,
        _losses,
        lambda _, measured: [float(tokens) for tokens in measured.tokens],
        lambda items: [pair.seed_id for pair in items.pairs],
    ),
    Measure(
        PAIRS,
        "choice_accuracy",
        False,
        lambda _, measured: measured.credits,
        lambda _, measured: [1.0] * len(measured.credits),
        lambda items: [question.example.seed_id for question in items.questions],
    ),
    *map(_accuracy, ACCURACIES),
)
"""No reward knows any of them: people's answers by loss (nats a token) and choice, and constraints by programs."""


@dataclass(frozen=True)
class OutcomeScore:
    """A row of the study's scores; the fields are columns of table `evaluation_scores`."""

    model: str
    task: str
    metric: str
    value: float
    stderr: float | None
    n: int
    """Clusters of items: people's pairs, or tasks."""
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True)
class Difference:
    """One of the differences that are tested."""

    measure: Measure
    ours: str
    other: str
    estimate: CrossedEstimate


CANNOT_TELL = "cannot tell"


def verdict(value: float, low: float | None, high: float | None, *, lower_is_better: bool) -> str:
    """What a difference and its interval say of the first of two arms; that they cannot tell is a result."""
    if low is None or high is None or low <= 0 <= high:
        return CANNOT_TELL
    return "better" if (value < 0) == lower_is_better else "worse"


def differences(items: Items, students: Mapping[str, Sequence[Measured]]) -> list[Difference]:
    """Every difference of COMPARED in every measure, paired in student and item.

    The intervals of a measure's differences hold together: each is as wide as their number asks.
    """
    found: list[Difference] = []
    for measure in MEASURES:
        table = {arm: _table(measure, items, each) for arm, each in students.items()}
        weights = measure.weights(items, students[COMPARED[0][0]][0])
        clusters = measure.clusters(items)
        for ours, other in COMPARED:
            estimate = crossed(table[ours] - table[other], weights, clusters, comparisons=len(COMPARED))
            found.append(Difference(measure, ours, other, estimate))
    return found


def all_scores(
    items: Items, students: Mapping[str, Sequence[Measured]], base: Measured, found: Sequence[Difference]
) -> list[OutcomeScore]:
    """Every row: the base, each arm, and each difference with the smallest one that could be seen."""
    return [
        *(_base_score(measure, items, base) for measure in MEASURES),
        *_arm_scores(items, students),
        *(row for difference in found for row in _rows_of(difference)),
    ]


def _arm_scores(items: Items, students: Mapping[str, Sequence[Measured]]) -> Iterator[OutcomeScore]:
    for measure in MEASURES:
        for arm, each in students.items():
            estimate = crossed(_table(measure, items, each), measure.weights(items, each[0]), measure.clusters(items))
            yield _row(arm, measure, measure.metric, estimate)


def _base_score(measure: Measure, items: Items, base: Measured) -> OutcomeScore:
    """There is one base: its error is over items alone."""
    weights = np.asarray(measure.weights(items, base))
    estimate: Estimate = clustered_ratio(
        np.asarray(measure.values(items, base)) * weights, weights, measure.clusters(items)
    )
    low, high = normal_interval(estimate.value, estimate.stderr)
    return OutcomeScore(
        BASE, measure.task, measure.metric, estimate.value, estimate.stderr, estimate.clusters, low, high
    )


def _rows_of(difference: Difference) -> Iterator[OutcomeScore]:
    measure, estimate = difference.measure, difference.estimate
    metric = f"{measure.metric}{MINUS}{difference.other}"
    yield _row(difference.ours, measure, metric, estimate)
    if estimate.stderr:
        yield OutcomeScore(
            difference.ours, measure.task, metric + SMALLEST, estimate.smallest, None, estimate.clusters, None, None
        )


def _row(model: str, measure: Measure, metric: str, estimate: CrossedEstimate) -> OutcomeScore:
    """Where nothing varied there is neither error nor interval: how much it would vary is not known."""
    stderr, low, high = (estimate.stderr, estimate.low, estimate.high) if estimate.stderr else (None, None, None)
    return OutcomeScore(model, measure.task, metric, estimate.value, stderr, estimate.clusters, low, high)


def _table(measure: Measure, items: Items, students: Sequence[Measured]) -> np.ndarray:
    """A row for each student, a column for each item."""
    return np.array([measure.values(items, measured) for measured in students], dtype=float)
