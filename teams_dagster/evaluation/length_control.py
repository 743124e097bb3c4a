"""The win rate at equal length, close to AlpacaEval 2's (Dubois et al. 2024, 2404.04475), from verdicts and lengths.

Their regression has a term for the model, one for tanh(difference of lengths / its standard deviation) and one for how
hard each instruction is, learnt from many models; and it is pulled towards what their judge says of a concise and a
verbose version of the baseline itself. Here two models are judged, so neither the difficulties nor those versions are
known. What their published fits say of both stands in their place:

- difficulty varies between instructions as a normal variable with `DIFFICULTY` as its deviation, over which the
  likelihood is averaged (Gauss-Hermite quadrature);
- the coefficient of length is pulled towards `LEANING`, their mean, with the weight of `PULL` a pair.

A judge that leans to length less than GPT-4 does is therefore corrected too much, one that leans to it more too
little, the more so the further the two models' lengths lie apart. Where one side's answer is always the longer, equal
length was never seen, and there is no such rate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

LEANING = 1.55
"""In log-odds per unit of tanh: about the mean length coefficient of the models on AlpacaEval 2's leaderboard."""
DIFFICULTY = 1.7
"""In log-odds: with a normal difficulty, its spread times its mean coefficient gives their rates from their fits."""
PULL = 0.04
"""Precision a pair of the prior on the length coefficient: at 805 pairs, a standard deviation of 0.18."""
RIDGE = 0.04
"""Precision of the intercept: keeps it finite where all verdicts are the same."""
STEPS = 100
LARGEST_STEP = 2.0
"""In log-odds: a step from far away overshoots."""
SMALLEST_STEP = 1e-8

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_OFFSETS = DIFFICULTY * _NODES
_MASSES = _WEIGHTS / _WEIGHTS.sum()


def identifiable(differences: ArrayLike) -> bool:
    """Whether equal length lies within the `differences` that were judged: not all on one side of zero."""
    x = np.asarray(differences, float)
    return bool(x.min() <= 0 <= x.max())


def length_controlled(scores: ArrayLike, differences: ArrayLike, weights: ArrayLike) -> np.ndarray:
    """The score to be expected at equal length, under each row of `weights` (rows, pairs).

    Args:
        scores: Of each pair, from 0 to 1; between them is a share of a win.
        differences: Of each pair's lengths, the model's less the other's. The plain mean is given where all are 0.
        weights: How often each pair counts; the first row's fit is where the others' begin.

    Raises:
        ValueError: The differences lie on one side of zero.
        RuntimeError: The regression does not converge.
    """
    y, x, w = np.asarray(scores, float), np.asarray(differences, float), np.asarray(weights, float)
    if not identifiable(x):
        raise ValueError("one side's answers are always the longer: the rate at equal length is not identifiable")
    if not x.any():
        return w @ y / w.sum(axis=1)
    leaning = np.tanh(x / x.std())
    first = _fitted(y, leaning, w[:1], np.array([[0.0], [LEANING]]))
    start = np.repeat(first, len(w), axis=1)
    return _won(_fitted(y, leaning, w, start)[0])[0]


def _won(log_odds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The chance of a win over all difficulties at these mean log-odds, and its derivative."""
    chance, slope = np.zeros_like(log_odds), np.zeros_like(log_odds)
    for offset, mass in zip(_OFFSETS, _MASSES, strict=True):
        p = 1 / (1 + np.exp(-(log_odds + offset)))
        chance += mass * p
        slope += mass * p * (1 - p)
    return chance, slope


def _fitted(y: np.ndarray, x: np.ndarray, w: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Intercept and length coefficient (2, rows) of each row of weights, by Fisher scoring from `start`."""
    intercept, slope = start.copy()
    pull = PULL * len(y)
    for _ in range(STEPS):
        chance, rise = _won(intercept[:, None] + slope[:, None] * x)
        ratio = w * rise / (chance * (1 - chance))
        error, information = ratio * (y - chance), ratio * rise
        g0, g1 = error.sum(axis=1) - RIDGE * intercept, error @ x - pull * (slope - LEANING)
        h00, h01, h11 = information.sum(axis=1) + RIDGE, information @ x, information @ x**2 + pull
        steps = np.stack([h11 * g0 - h01 * g1, h00 * g1 - h01 * g0]) / (h00 * h11 - h01**2)
        steps *= np.minimum(1, LARGEST_STEP / np.maximum(np.abs(steps).max(axis=0), SMALLEST_STEP))
        intercept, slope = intercept + steps[0], slope + steps[1]
        if np.abs(steps).max() < SMALLEST_STEP:
            return np.stack([intercept, slope])
    raise RuntimeError("the length-controlled regression did not converge: report the pairs that it was given")
