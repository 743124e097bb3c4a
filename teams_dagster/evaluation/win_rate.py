"""Win rates from a judge's verdicts: each pair of answers judged in both orders, ties counted, length controlled.

A pair's score is the mean of its two verdicts: 1 where the judge prefers the model, 0 where it prefers the other, 1/2
where it prefers neither. A judge that names the same place both times has told the places apart and not the answers:
1/2, as in MT-Bench (Zheng et al. 2023, 2306.05685). A verdict that cannot be read names nobody, so it is worth 1/2 too,
and is counted: to leave it out would let the judge choose its questions.

Judges prefer longer answers. The length-controlled rate is the one at equal length (after AlpacaEval 2, Dubois et al.
2024, 2404.04475): scores are regressed, by logistic regression, on an intercept and tanh(difference of lengths / its
standard deviation), and predicted at difference 0. A small ridge on the second coefficient keeps it finite where length
alone tells wins from losses. AlpacaEval's term for how hard an instruction is, fitted over many models, is left out.

Intervals are 95%, by resampling seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from teams_dagster.evaluation.judging import Preference
from teams_dagster.evaluation.statistics import REPLICATES, percentile_interval, resampled_clusters

RIDGE = 0.1
"""Weight of the squared length coefficient: that of about one pair in which length says little."""
NEWTON_STEPS = 30
LARGEST_STEP = 4.0
"""In log-odds: a step from far away overshoots."""
SMALLEST_STEP = 1e-10

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
    length_controlled: float
    lc_low: float
    lc_high: float
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
    controlled, lc_low, lc_high = _with_interval(length_controlled(scores, lengths - others, weights), unanimous)
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


def length_controlled(scores: ArrayLike, differences: ArrayLike, weights: ArrayLike) -> np.ndarray:
    """The score to be expected at equal length, under each row of `weights` (rows, pairs).

    `differences` are a pair's lengths, the model's less the other's. Where all are the same, or all scores are, nothing
    can be told of length, and the rate is the plain one.
    """
    y, x, w = np.asarray(scores, float), np.asarray(differences, float), np.asarray(weights, float)
    total = w.sum(axis=1)
    plain = w @ y / total
    variance = np.maximum(w @ x**2 / total - (w @ x / total) ** 2, 0)
    fitted = (variance > 1e-9 * (1 + w @ x**2 / total)) & (plain > 0) & (plain < 1)
    if not fitted.any():
        return plain
    leaning = np.tanh(x / np.sqrt(variance[fitted])[:, None])
    plain[fitted] = 1 / (1 + np.exp(-_intercepts(y, leaning, w[fitted])))
    return plain


def _intercepts(y: np.ndarray, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The intercept of each row's logistic regression of `y` (pairs) on `x` (rows, pairs), by Newton's method.

    Scores between 0 and 1 are shares of a win. Raises RuntimeError when it does not converge.
    """
    intercept, slope = np.zeros(len(w)), np.zeros(len(w))
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-(intercept[:, None] + slope[:, None] * x)))
        error, spread = w * (y - p), w * p * (1 - p)
        g0, g1 = error.sum(axis=1), (error * x).sum(axis=1) - RIDGE * slope
        h00, h01, h11 = spread.sum(axis=1), (spread * x).sum(axis=1), (spread * x**2).sum(axis=1) + RIDGE
        determinant = h00 * h11 - h01**2
        steps = np.stack([h11 * g0 - h01 * g1, h00 * g1 - h01 * g0]) / determinant
        steps *= np.minimum(1, LARGEST_STEP / np.maximum(np.abs(steps).max(axis=0), SMALLEST_STEP))
        intercept, slope = intercept + steps[0], slope + steps[1]
        if np.abs(steps).max() < SMALLEST_STEP:
            return intercept
    raise RuntimeError("the length-controlled regression did not converge: report the pairs that it was given")
