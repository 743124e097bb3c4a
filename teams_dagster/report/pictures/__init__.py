"""Pictures: pure functions from plain values to PNG bytes, in one style. Empty data gives a picture that says so."""

from teams_dagster.report.pictures.costs import costs, costs_by_role_and_operation, diversity, generations
from teams_dagster.report.pictures.dataset import lengths_by_step, yield_funnel
from teams_dagster.report.pictures.models import evaluation_scores, privacy_roc, training_curves, win_rates
from teams_dagster.report.pictures.policy import (
    differences,
    learning_curve,
    operation_mix,
    operation_mix_by_step,
    policies_compared,
)

__all__ = [
    "costs",
    "costs_by_role_and_operation",
    "differences",
    "diversity",
    "evaluation_scores",
    "generations",
    "learning_curve",
    "lengths_by_step",
    "operation_mix",
    "operation_mix_by_step",
    "policies_compared",
    "privacy_roc",
    "training_curves",
    "win_rates",
    "yield_funnel",
]
