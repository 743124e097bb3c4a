"""Means with standard errors clustered by seed, and bootstrap intervals that resample seeds.

Samples of one seed are rewrites of one another: treating them as independent would make every error too small. The
seed is therefore the unit, everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from teams_dagster.core.rng import generator

REPLICATES = 1000
Z = 1.959964
"""Standard errors to either side of a 95% interval."""


@dataclass(frozen=True)
class Estimate:
    """A number with its error."""

    value: float
    stderr: float | None
    """Clustered by seed; None where there are fewer than two seeds."""
    clusters: int
    """Seeds it rests on."""


def clustered_ratio(numerators: ArrayLike, denominators: ArrayLike, clusters: Sequence[str]) -> Estimate:
    """sum(numerators) / sum(denominators) over examples, with its cluster-robust standard error.

    Linearisation of a ratio with G clusters (Cochran, Sampling Techniques, section 6.5): with residuals
    e_g = y_g - r x_g of the cluster totals, se^2 = G / (G - 1) * sum(e_g^2) / (sum x)^2. With denominators 1 this is
    the clustered error of a mean; with token counts, of a loss per token. A paired difference is the same with the
    differences as numerators.

    Raises ValueError when there is nothing to average.
    """
    y, x = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)
    total = x.sum()
    if not len(y) or total <= 0:
        raise ValueError("no examples to average: the held-out split is empty, or none of it fits the model's context")
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    value = float(y.sum() / total)
    residuals = np.bincount(index, weights=y) - value * np.bincount(index, weights=x)
    size = len(residuals)
    stderr = float(np.sqrt(size / (size - 1) * (residuals**2).sum()) / total) if size > 1 else None
    return Estimate(value, stderr, size)


def resampled_clusters(clusters: Sequence[str], *key: str | int, replicates: int = REPLICATES) -> list[np.ndarray]:
    """Per replicate, the indices of examples after drawing as many clusters with replacement as there are.

    The draws belong to `key`: two models scored on the same examples meet the same draws, so their replicates are
    paired.
    """
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    members: list[np.ndarray] = [np.flatnonzero(index == g) for g in range(int(index.max()) + 1)] if len(index) else []
    random = generator("cluster bootstrap", *key)
    return [
        np.concatenate([members[int(g)] for g in random.integers(len(members), size=len(members))])
        for _ in range(replicates)
    ]


def percentile_interval(values: ArrayLike) -> tuple[float, float]:
    """The 2.5th and 97.5th percentiles of bootstrap replicates, undefined (NaN) replicates left aside."""
    low, high = np.nanpercentile(np.asarray(values, dtype=float), [2.5, 97.5])
    return float(low), float(high)


def normal_interval(value: float, stderr: float | None) -> tuple[float, float] | tuple[None, None]:
    """The 95% interval of an estimate by its standard error; none where that is not known."""
    return (None, None) if stderr is None else (value - Z * stderr, value + Z * stderr)
