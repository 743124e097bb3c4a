"""Door: a job for each natural piece of work, and the schedule that launches a generation a week."""

import dagster as dg

from assets.partitions import GENERATIONS

everything = dg.define_asset_job(
    "everything",
    selection=dg.AssetSelection.all(),
    executor_def=dg.in_process_executor,
    description="Seeds to scores for one generation, in one process. What has not changed is reused.",
)

train_policy = dg.define_asset_job(
    "train_policy",
    selection=dg.AssetSelection.groups("seeds", "policy"),
    description="Read the seeds, train the policy, compare it on seeds it was never trained on.",
)

regenerate = dg.define_asset_job(
    "regenerate",
    selection=dg.AssetSelection.groups("dataset") | dg.AssetSelection.assets("query_costs", "sample_lineage"),
    executor_def=dg.in_process_executor,
    description="One generation: the policy steers the expert, the expert answers, the dataset takes the samples in.",
)

fine_tune_and_evaluate = dg.define_asset_job(
    "fine_tune_and_evaluate",
    selection=dg.AssetSelection.groups("models", "evaluation") | dg.AssetSelection.assets("report"),
    executor_def=dg.in_process_executor,
    description="Train the adapters on the current dataset, score them, and write the report.",
)

checks = dg.define_asset_job(
    "checks",
    selection=dg.AssetSelection.all_asset_checks(),
    executor_def=dg.in_process_executor,
    description="Every asset check on what is stored; nothing is materialised.",
)


@dg.schedule(
    job=regenerate,
    cron_schedule="0 3 * * 1",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every Monday at 03:00 UTC, the week that has just begun. Off until switched on: it may cost money.",
)
def weekly_generation(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Launch the generation of the week that the tick falls in."""
    week = GENERATIONS.get_partition_key_for_timestamp(context.scheduled_execution_time.timestamp())
    return dg.RunRequest(run_key=week, partition_key=week)


JOBS = [everything, train_policy, regenerate, fine_tune_and_evaluate, checks]
SCHEDULES = [weekly_generation]
