"""Door: the jobs, and what begins them by the calendar or by what happened."""

from assets.models.jobs import merge_adapter, push_to_hub
from assets.preflight import preflight
from assets.preview import preview
from teams_dagster.automation.alerts import alert_on_checks, alert_on_failure
from teams_dagster.automation.batches import collect_batches
from teams_dagster.automation.jobs import (
    algorithm_study,
    checks,
    dataset,
    demo,
    everything,
    fine_tune_and_evaluate,
    outcome_study,
    policy_study,
    regenerate,
    retrain,
    retry_failed,
    train_on_pairs,
    train_policy,
    train_rlgf,
    uniform_arm,
)
from teams_dagster.automation.retraining import monthly_retraining, retrain_on_new_samples
from teams_dagster.automation.schedules import monthly_policy, weekly_generation
from teams_dagster.automation.seed_files import estimate_generation, read_changed_seeds, read_seeds
from teams_dagster.automation.tracing import trace_sample

JOBS = [
    everything,
    demo,
    read_seeds,
    estimate_generation,
    uniform_arm,
    train_policy,
    policy_study,
    algorithm_study,
    outcome_study,
    train_rlgf,
    regenerate,
    dataset,
    retry_failed,
    fine_tune_and_evaluate,
    retrain,
    train_on_pairs,
    preflight,
    preview,
    merge_adapter,
    push_to_hub,
    checks,
    trace_sample,
]

SCHEDULES = [weekly_generation, monthly_policy, monthly_retraining]

SENSORS = [collect_batches, read_changed_seeds, retrain_on_new_samples, alert_on_failure, alert_on_checks]
