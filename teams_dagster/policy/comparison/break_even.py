"""After how many generated samples a policy has paid for its own training.

samples = training cost / (uniform's cost per accepted edit - the trained policy's). In whatever unit the costs are:
questions, or nano-dollars. It is infinite, `never`, where the trained policy's edits are not cheaper.
"""

from __future__ import annotations

import math

import numpy as np

from teams_dagster.policy.comparison.bootstrap import Resamples

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
