"""Door: a job for each natural piece of work, the weekly schedule, and the sensor that goes on when batches ended."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator

import dagster as dg

from assets.partitions import GENERATIONS
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from teams_dagster.completions.protocol import CompletionError
from teams_dagster.ledger.batches import Batch, unattended

ONCE_AN_HOUR = 3_600
"""Seconds between two launches for the same batches, should the first run not have come as far as to collect them."""

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

retry_failed = dg.define_asset_job(
    "retry_failed",
    selection=dg.AssetSelection.groups("dataset") | dg.AssetSelection.assets("query_costs", "sample_lineage"),
    executor_def=dg.in_process_executor,
    config={"ops": {"generated_instructions": {"config": {"only_failed": True}}}},
    description="Ask again what got no answer in one generation, and nothing else: what is answered is reused.",
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


JOBS = [everything, train_policy, regenerate, retry_failed, fine_tune_and_evaluate, checks]


@dg.sensor(
    jobs=[everything, regenerate, retry_failed],
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs a generation again whose batches have ended at the provider, so that it goes on from the answers."
    " Does nothing while no batch is open.",
)
def collect_batches(
    context: dg.SensorEvaluationContext, ledger: LedgerConnection, models: LanguageModels
) -> Iterator[dg.RunRequest]:
    """One run for each step all of whose batches have ended."""
    with ledger.open() as opened:
        waiting: dict[tuple[str, str | None], list[Batch]] = defaultdict(list)
        for batch in unattended(opened):
            waiting[batch.asset_key, batch.partition_key].append(batch)
    for (asset_key, partition), batches in waiting.items():
        try:
            ended = all(asyncio.run(models.has_ended(batch)) for batch in batches)
        except CompletionError as error:
            context.log.warning(f"the batches of {asset_key} cannot be asked about: {error}")
            continue
        if ended:
            yield _go_on(context, partition, batches)


def _go_on(context: dg.SensorEvaluationContext, partition: str | None, batches: list[Batch]) -> dg.RunRequest:
    """The run that handed the batches in, once more: its job and its configuration."""
    run = context.instance.get_run_by_id(batches[-1].run_id)
    known = run is not None and run.job_name in (everything.name, regenerate.name, retry_failed.name)
    names = "-".join(sorted(batch.batch_id[:12] for batch in batches))
    return dg.RunRequest(
        run_key=f"{names}-{int(time.time()) // ONCE_AN_HOUR}",
        job_name=run.job_name if run is not None and known else regenerate.name,
        run_config=run.run_config if run is not None and known else {},
        partition_key=partition,
    )


SCHEDULES = [weekly_generation]
SENSORS = [collect_batches]
