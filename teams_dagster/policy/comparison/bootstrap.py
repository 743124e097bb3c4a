"""The crossed bootstrap: evaluation seeds are resampled, and training seeds too where there are several.

The same resamples serve every policy, so that a difference, a ratio or a share is paired: what two policies have in
common (an easy seed, a lucky training) cancels.

After how many generated samples a policy has paid for its own training.

samples = training cost / (uniform's cost per accepted edit - the trained policy's). In whatever unit the costs are:
questions, or nano-dollars. It is infinite, `never`, where the trained policy's edits are not cheaper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from teams_dagster.core.rng import generator
from teams_dagster.policy.comparison.playing import Results


@dataclass(frozen=True)
class Resamples:
    """How often each seed is drawn in each resample.

    Row 0 is the sample itself, so that a point estimate is measured by the same formula as its resamples.
    """

    training: np.ndarray
    """(1 + B, T)."""
    evaluation: np.ndarray
    """(1 + B, N)."""

    @classmethod
    def drawn(cls, training: int, evaluation: int, count: int, root_seed: int) -> Resamples:
        """`count` resamples of so many training and evaluation seeds."""
        stream = generator(root_seed, "compare", "bootstrap")

        def counts(size: int) -> np.ndarray:
            drawn = stream.multinomial(size, np.full(size, 1 / size), size=count)
            return np.vstack([np.ones(size), drawn])

        return cls(counts(training), counts(evaluation))

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


def measures(results: Results, resamples: Resamples) -> dict[str, np.ndarray]:
    """Each metric of a policy under each resample: shape (1 + B,)."""
    accepted, queries = resamples.total(results.accepted), resamples.total(results.queries)
    return {
        "return": resamples.mean(results.returns),
        "accepted_per_query": ratio(accepted, queries),
        "accepted_per_rewrite": ratio(accepted, resamples.total(results.rewrites)),
        "accepted_per_episode": resamples.mean(results.accepted_an_episode),
        "distinct_accepted_per_query": ratio(resamples.total(results.distinct), queries),
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
