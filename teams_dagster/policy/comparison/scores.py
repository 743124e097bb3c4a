"""Scores with intervals: every metric of every policy, against uniform, against the trained one, and the ceiling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from teams_dagster.core.operations import Operation
from teams_dagster.policy.baselines import CEILING, SIMPLER_RULES, UNIFORM
from teams_dagster.policy.comparison.bootstrap import Resamples, measures, ratio
from teams_dagster.policy.comparison.contenders import TRAINED, Contender
from teams_dagster.policy.comparison.playing import Results

ALLOWANCE_USED = "allowance_used"
MOSTLY_USED = 0.8
"""Share of its allowance below which a policy counts as leaving it unused."""

METRICS = (
    "return",
    "accepted_per_query",
    "accepted_per_rewrite",
    "accepted_per_episode",
    "distinct_accepted_per_query",
    ALLOWANCE_USED,
    "length_growth",
)
"""Measured for every policy, then against uniform as `<metric>_minus_uniform` and `<metric>_over_uniform`."""

HEADLINE = "distinct_accepted_per_query"
"""A text reached again from its seed counts once, so a policy that repeats itself gains nothing."""

HEADLINES = (HEADLINE, "accepted_per_episode", "accepted_per_query", "return")
"""Measured for the trained policy against every other one, as `<metric>_minus_<policy>`."""

OF_GAP = ("return", "accepted_per_query", "accepted_per_episode", HEADLINE)
"""How much of the way from uniform to the ceiling the trained policy goes: `<metric>_share_of_gap`."""


@dataclass(frozen=True)
class Score:
    """A row of table `policy_scores` (without `run_id`)."""

    policy: str
    metric: str
    mean: float
    ci_low: float
    ci_high: float
    episodes: int
    queries: int
    training_seeds: int
    policy_version: str


def left_unused(used: Score | None) -> str:
    """What is to be said of a policy that asks less than it may; empty where it does not, or was not measured."""
    if used is None or used.mean >= MOSTLY_USED:
        return ""
    return f"it asked {used.mean:.0%} of what it might: figures per query flatter a policy that stops early"


@dataclass(frozen=True)
class Measured:
    """A metric of one policy under each resample: the point estimate first."""

    policy: str
    metric: str
    values: np.ndarray


def measured(results: Mapping[str, Results], resamples: Resamples) -> Iterator[Measured]:
    """Every metric of every policy. `results` must hold uniform's."""
    figures = {name: measures(result, resamples) for name, result in results.items()}
    reference = figures[UNIFORM]
    for name, found in figures.items():
        yield from (Measured(name, metric, found[metric]) for metric in METRICS)
        if name != UNIFORM:
            yield from _against_uniform(name, found, reference)
        yield from _mix(name, results[name], resamples)
    if trained := figures.get(TRAINED):
        for other, found in figures.items():
            if other not in (TRAINED, UNIFORM):
                yield from (Measured(TRAINED, f"{m}_minus_{other}", trained[m] - found[m]) for m in HEADLINES)
        yield from _over_simpler_rules(trained, figures)
        if ceiling := figures.get(CEILING):
            yield from _share_of_gap(trained, reference, ceiling)


def _against_uniform(
    name: str, found: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]
) -> Iterator[Measured]:
    for metric in METRICS:
        yield Measured(name, f"{metric}_minus_uniform", found[metric] - reference[metric])
        if metric != "return" and (reference[metric] > 0).all():
            yield Measured(name, f"{metric}_over_uniform", found[metric] / reference[metric])


def _over_simpler_rules(
    trained: Mapping[str, np.ndarray], figures: Mapping[str, Mapping[str, np.ndarray]]
) -> Iterator[Measured]:
    for name in SIMPLER_RULES:
        if name in figures and (figures[name][HEADLINE] > 0).all():
            yield Measured(TRAINED, f"{HEADLINE}_over_{name}", trained[HEADLINE] / figures[name][HEADLINE])


def _mix(name: str, results: Results, resamples: Resamples) -> Iterator[Measured]:
    chosen = resamples.total(results.operations.sum(axis=-1))
    for index, operation in enumerate(Operation):
        share = ratio(resamples.total(results.operations[..., index]), chosen)
        yield Measured(name, f"share_of_{operation.value}", share)


def _share_of_gap(
    trained: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], ceiling: Mapping[str, np.ndarray]
) -> Iterator[Measured]:
    for metric in OF_GAP:
        gap = ceiling[metric] - reference[metric]
        if (gap > 0).all():
            yield Measured(TRAINED, f"{metric}_share_of_gap", (trained[metric] - reference[metric]) / gap)


def scored(
    found: Sequence[Measured],
    contenders: Mapping[str, Contender],
    episodes: Mapping[str, int],
    queries: Mapping[str, int],
    confidence: float,
) -> list[Score]:
    """Point estimates with percentile intervals."""
    scores: list[Score] = []
    for figure in found:
        low, high = interval(figure.values, confidence)
        contender = contenders[figure.policy]
        scores.append(
            Score(
                policy=figure.policy,
                metric=figure.metric,
                mean=float(figure.values[0]),
                ci_low=low,
                ci_high=high,
                episodes=episodes[figure.policy],
                queries=queries[figure.policy],
                training_seeds=len(contender.deciders),
                policy_version=contender.versions[0],
            )
        )
    return scores


def interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """The percentile interval of a metric under each resample; the point estimate, which comes first, is left out.

    Ends are values that occurred, so that an infinite one stays infinite and is never averaged.
    """
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(values[1:], [tail, 100 - tail], method="nearest")
    return float(low), float(high)
