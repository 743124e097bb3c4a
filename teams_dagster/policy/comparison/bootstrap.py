"""The crossed bootstrap: evaluation seeds are resampled, and training seeds too where there are several.

The same resamples serve every policy, so that a difference, a ratio or a share is paired: what two policies have in
common (an easy seed, a lucky training) cancels.

A handful of trainings, resampled, varies too little: by the factor sqrt((T - 1) / T), and with the tails of a normal
variable instead of Student's. So from three trainings on the draws are spread by sqrt(T / (T - 1)) t / z, t and z the
quantiles of Student's t with T - 1 degrees of freedom and of the normal. With five trainings that vary much, 96% of the
95% intervals then hold the truth instead of 85% (`benchmarks/evaluation`). Two trainings say next to nothing about
others, and are left as they are; whoever shows an interval of fewer than `ENOUGH_TRAININGS` says so.

After how many generated samples a policy has paid for its own training.

samples = training cost / (uniform's cost per accepted edit - the trained policy's). In whatever unit the costs are:
queries, or nano-dollars. It is infinite, `never`, where the trained policy's edits are not cheaper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from teams_dagster.core.rng import generator
from teams_dagster.policy.comparison.playing import Results

ENOUGH_TRAININGS = 5
"""Trainings from which on an interval says how much trainings vary."""
FEWEST_SPREAD = 3
"""Trainings whose draws are spread: of two the spread would be ninefold, and ratios meaningless."""


@dataclass(frozen=True)
class Resamples:
    """How much each seed counts in each resample: evaluation seeds as often as drawn, training seeds spread.

    Row 0 is the sample itself, so that a point estimate is measured by the same formula as its resamples.
    """

    training: np.ndarray
    """(1 + B, T)."""
    evaluation: np.ndarray
    """(1 + B, N)."""

    @classmethod
    def drawn(cls, training: int, evaluation: int, count: int, root_seed: int, confidence: float = 0.95) -> Resamples:
        """`count` resamples of so many training and evaluation seeds, for intervals of that `confidence`."""
        stream = generator(root_seed, "compare", "bootstrap")

        def counts(size: int) -> np.ndarray:
            drawn = stream.multinomial(size, np.full(size, 1 / size), size=count)
            return np.vstack([np.ones(size), drawn])

        return cls(1 + _spread(training, confidence) * (counts(training) - 1), counts(evaluation))

    def total(self, values: np.ndarray) -> np.ndarray:
        """The weighted sum of `values` (T, N) under each resample: shape (1 + B,).

        A policy with one row has it for every training seed.
        """
        training = self.training if values.shape[0] > 1 else self.training.sum(axis=1, keepdims=True)
        return ((training @ values) * self.evaluation).sum(axis=1)

    @property
    def size(self) -> np.ndarray:
        """The weighted number of (training seed, evaluation seed) pairs: shape (1 + B,)."""
        return self.training.sum(axis=1) * self.evaluation.sum(axis=1)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """The mean of `values` (T, N) under each resample."""
        return self.total(values) / self.size

    def mean_of_trainings(self, counts: Sequence[int]) -> np.ndarray:
        """The mean of what is counted of each training under each resample: shape (1 + B,)."""
        return self.mean(np.repeat(np.array(counts, dtype=np.float64)[:, None], self.evaluation.shape[1], axis=1))


def _spread(trainings: int, confidence: float) -> float:
    """By how much draws of so many trainings are spread around one draw each, so that their intervals cover."""
    if trainings < FEWEST_SPREAD:
        return 1.0
    wider = t_quantile(trainings - 1, confidence) / NormalDist().inv_cdf((1 + confidence) / 2)
    return math.sqrt(trainings / (trainings - 1)) * wider


def t_quantile(freedom: int, confidence: float) -> float:
    """Standard errors to either side of a `confidence` interval, by Student's t with `freedom` degrees of freedom."""
    from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs]  # takes a tenth of the start of a run

    return float(stdtrit(freedom, (1 + confidence) / 2))


def measures(results: Results, resamples: Resamples) -> dict[str, np.ndarray]:
    """Each metric of a policy under each resample: shape (1 + B,)."""
    accepted, queries = resamples.total(results.accepted), resamples.total(results.queries)
    return {
        "return": resamples.mean(results.returns),
        "accepted_per_query": ratio(accepted, queries),
        "accepted_per_rewrite": ratio(accepted, resamples.total(results.rewrites)),
        "accepted_per_episode": resamples.mean(results.accepted_an_episode),
        "distinct_accepted_per_query": ratio(resamples.total(results.distinct), queries),
        "allowance_used": ratio(queries, resamples.total(results.allowed)),
        "length_growth": ratio(resamples.total(results.growth), accepted),
    }


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """`above` / `below`, and 0 where there is nothing to divide by."""
    return np.divide(above, below, out=np.zeros_like(above, dtype=np.float64), where=below > 0)


NEVER = math.inf


IN_QUESTIONS = "samples_to_pay_for_training"


IN_DOLLARS = "samples_to_pay_for_training_in_dollars"
"""The trained policy's metrics."""


def samples_to_pay_off(
    training_cost: float,
    *,
    trained: tuple[np.ndarray, np.ndarray],
    uniform: tuple[np.ndarray, np.ndarray],
    resamples: Resamples,
) -> np.ndarray:
    """The number of samples under each resample: shape (1 + B,), `NEVER` where it does not pay.

    `trained` and `uniform` are (cost, accepted edits) per training seed and evaluation seed, each of shape (T, N).
    """
    bare, learnt = _unit_cost(uniform, resamples), _unit_cost(trained, resamples)
    pays = np.isfinite(bare) & (learnt < bare)
    saved = np.subtract(bare, learnt, out=np.zeros(len(bare)), where=pays)
    never = np.full(len(saved), NEVER)
    return np.divide(training_cost, saved, out=never, where=pays) if training_cost else np.where(pays, 0.0, never)


def _unit_cost(spent: tuple[np.ndarray, np.ndarray], resamples: Resamples) -> np.ndarray:
    """Cost per accepted edit under each resample; infinite where nothing was accepted."""
    cost, accepted = (resamples.total(values) for values in spent)
    return np.divide(cost, accepted, out=np.full(len(cost), np.inf), where=accepted > 0)
