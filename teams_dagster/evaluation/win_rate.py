"""Win rates from a judge's verdicts: each pair of answers judged in both orders, ties counted, length controlled.

A pair's score is the mean of its two verdicts: 1 where the judge prefers the model, 0 where it prefers the other, 1/2
where it prefers neither. A judge that names the same place both times has told the places apart and not the answers:
1/2, as in MT-Bench (Zheng et al. 2023, 2306.05685). A verdict that cannot be read names nobody, so it is worth 1/2 too,
and is counted: to leave it out would let the judge choose its questions.

Judges prefer longer answers. The length-controlled rate is the one at equal length (module `length_control`); there is
none where one side's answers are always the longer.

Intervals are 95%, by resampling seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from teams_dagster.evaluation.judging import Preference
from teams_dagster.evaluation.length_control import identifiable, length_controlled
from teams_dagster.evaluation.statistics import REPLICATES, percentile_interval, resampled_clusters

_CREDIT = {Preference.FIRST: 1.0, Preference.SECOND: 0.0}


@dataclass(frozen=True)
class JudgedPair:
    """A model's answer and another's to one instruction, judged in both orders."""

    seed_id: str
    shown_first: Preference
    """The verdict where the model's answer stood first."""
    shown_second: Preference
    """The verdict where it stood second."""
    length: int
    """Characters of the model's answer."""
    other_length: int

    @property
    def score(self) -> float:
        """1 for a win in both orders, 0 for a loss in both."""
        return (_CREDIT.get(self.shown_first, 0.5) + 1 - _CREDIT.get(self.shown_second, 0.5)) / 2

    @property
    def contradictory(self) -> bool:
        """Whether the judge preferred one place, whichever answer stood there."""
        return self.shown_first is self.shown_second and self.shown_first in _CREDIT


@dataclass(frozen=True)
class Compared:
    """Whose answers were compared, and by whom."""

    model: str
    against: str
    questions: int
    """Instructions that were put to both."""
    judge: str
    model_version: str
    dataset_version: str


@dataclass(frozen=True)
class WinRate:
    """How often a judge prefers a model's answers to another's; the fields are the table's columns."""

    model: str
    against: str
    questions: int
    pairs: int
    """Those of the questions that were judged in both orders."""
    wins: int
    ties: int
    losses: int
    unclear: int
    """Verdicts, of two a pair, that could not be read."""
    contradictory: int
    """Pairs in which one place was preferred, whoever stood there: ties."""
    win_rate: float
    ci_low: float
    ci_high: float
    length_controlled: float | None
    """At equal length; None, as its interval, where it is not identifiable: one side's answers are always longer."""
    lc_low: float | None
    lc_high: float | None
    mean_length: float
    """Characters."""
    mean_length_base: float
    first_place_share: float | None
    """Of the verdicts that prefer an answer, how many prefer the first: 1/2 without bias; None where there are none."""
    judge: str
    model_version: str
    dataset_version: str


def win_rate(pairs: Sequence[JudgedPair], compared: Compared, *key: str | int, replicates: int = REPLICATES) -> WinRate:
    """The win rate over `pairs`; the resampled seeds belong to `key`. Raises ValueError where there are no pairs."""
    if not pairs:
        raise ValueError("no pair of answers was judged in both orders: there is no win rate")
    scores = np.array([pair.score for pair in pairs])
    lengths = np.array([pair.length for pair in pairs], dtype=float)
    others = np.array([pair.other_length for pair in pairs], dtype=float)
    seeds = [pair.seed_id for pair in pairs]
    drawn = resampled_clusters(seeds, *key, replicates=replicates)
    weights = np.stack([np.ones(len(pairs)), *(np.bincount(index, minlength=len(pairs)) for index in drawn)])
    unanimous = len(set(seeds)) if np.ptp(scores) == 0 else None
    raw, low, high = _with_interval(weights @ scores / weights.sum(axis=1), unanimous)
    controlled, lc_low, lc_high = _at_equal_length(scores, lengths - others, weights, seeds)
    verdicts = [verdict for pair in pairs for verdict in (pair.shown_first, pair.shown_second)]
    preferring = [verdict for verdict in verdicts if verdict in _CREDIT]
    return WinRate(
        **asdict(compared),
        pairs=len(pairs),
        wins=int((scores > 0.5).sum()),
        ties=int((scores == 0.5).sum()),
        losses=int((scores < 0.5).sum()),
        unclear=verdicts.count(Preference.UNCLEAR),
        contradictory=sum(pair.contradictory for pair in pairs),
        win_rate=raw,
        ci_low=low,
        ci_high=high,
        length_controlled=controlled,
        lc_low=lc_low,
        lc_high=lc_high,
        mean_length=float(lengths.mean()),
        mean_length_base=float(others.mean()),
        first_place_share=preferring.count(Preference.FIRST) / len(preferring) if preferring else None,
    )


def _at_equal_length(
    scores: np.ndarray, differences: np.ndarray, weights: np.ndarray, seeds: Sequence[str]
) -> tuple[float, float, float] | tuple[None, None, None]:
    """The length-controlled rate with its interval; nothing where it is not identifiable.

    Where all scores are the same, only pairs in which length did not help the winner tell what equal length would
    give, so their seeds are the trials of the interval.
    """
    if not identifiable(differences):
        return None, None, None
    unanimous = None
    if np.ptp(scores) == 0:
        shorter, longer = (
            len({seed for seed, counted in zip(seeds, side, strict=True) if counted})
            for side in (differences <= 0, differences >= 0)
        )
        unanimous = min(shorter, longer) if scores[0] == 0.5 else shorter if scores[0] > 0.5 else longer
    return _with_interval(length_controlled(scores, differences, weights), unanimous)


def _with_interval(values: np.ndarray, unanimous: int | None) -> tuple[float, float, float]:
    """The first of `values` with the interval that the others give.

    Where that many seeds are `unanimous`, resampling shows no spread at all. The interval is then that of seeds which
    would say otherwise and were not met: at most 1 - 0.025^(1/n) of all, by Clopper and Pearson.
    """
    value = float(values[0])
    if unanimous is None:
        return value, *percentile_interval(values[1:])
    unmet = 1 - 0.025 ** (1 / unanimous)
    return value, value * (1 - unmet), value * (1 - unmet) + unmet
