"""The sensor that goes on when batches ended at the provider."""

import asyncio
import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

import dagster as dg

from resources.language_models.roles import LanguageModels
from resources.language_models.run_budgets import CONTINUES
from resources.ledger import LedgerConnection
from teams_dagster.automation.jobs import dataset, everything, regenerate, retry_failed, uniform_arm
from teams_dagster.automation.runs import AD_HOC, BATCHES, PARTITION, UNDER_WAY
from teams_dagster.core.protocol import CompletionError, ErrorKind
from teams_dagster.ledger.batches import Batch, unattended
from teams_dagster.ledger.database import LedgerError
from teams_dagster.pricing.paid_assets import PAID, UNIFORM_PAID
from teams_dagster.settings import SettingsError

ONCE_AN_HOUR = 3_600
"""Seconds between two launches for the same batches, should the first run not have come as far as to collect them."""

GO_ON = [everything, regenerate, dataset, retry_failed, uniform_arm]
"""The jobs that may hand batches in."""


@dg.sensor(  # pyright: ignore[reportUnknownMemberType] (Dagster's own)
    jobs=GO_ON,
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs a generation again whose batches have ended at the provider, so that it goes on from the answers."
    " Does nothing while no batch is open.",
)
def collect_batches(
    context: dg.SensorEvaluationContext, ledger: LedgerConnection, models: LanguageModels
) -> Iterator[dg.RunRequest]:
    """One run for each partition of an asset all of whose batches have ended."""
    waiting: dict[tuple[str, str | None], list[Batch]] = defaultdict(list)
    try:
        with ledger.open() as opened:
            for batch in unattended(opened):
                waiting[batch.asset_key, batch.partition_key].append(batch)
    except (LedgerError, SettingsError) as error:
        context.log.warning(f"the open batches are not known: {error}")
        return
    if not waiting:
        return
    busy = {run.tags.get(PARTITION) for run in context.instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))}
    for (asset_key, partition), batches in waiting.items():
        if partition in busy:
            continue
        try:
            ended = all(_has_ended(models, batch) for batch in batches)
        except (CompletionError, SettingsError) as error:
            context.log.warning(f"the batches of {asset_key} cannot be asked about: {error}")
            continue
        if ended and (request := _go_on(context, batches)) is not None:
            busy.add(partition)
            yield request


def _has_ended(models: LanguageModels, batch: Batch) -> bool:
    """Whether there is something to collect; the run settles what the provider does not know any more, too."""
    try:
        return asyncio.run(models.has_ended(batch))
    except CompletionError as error:
        if error.kind is not ErrorKind.REJECTED:
            raise
        return True


def _go_on(context: dg.SensorEvaluationContext, batches: Sequence[Batch]) -> dg.RunRequest | None:
    """The run that handed the batches in, once more: its job, its assets, its configuration.

    None when nobody knows what it was to do, when it was cancelled, or for an hour after it was launched again.
    """
    asset_key, run_id = batches[-1].asset_key, batches[-1].run_id
    run = context.instance.get_run_by_id(run_id)
    if run is None:
        context.log.warning(
            f"run {run_id} handed in batches of {asset_key} and is not known here: run it again by hand"
        )
        return None
    job_name = run.job_name
    if job_name == AD_HOC:
        # of the two jobs that have every asset of a line, the one of which all were picked: their configuration fits it
        job_name = (uniform_arm if asset_key in UNIFORM_PAID else everything).name
        picked = {key.to_user_string() for key in run.asset_selection or ()}
        if picked & set(UNIFORM_PAID) and picked & set(PAID):
            job_name = AD_HOC
    if job_name not in [job.name for job in GO_ON]:
        context.log.warning(f"run {run_id} of job {job_name} handed in batches of {asset_key}: run it again by hand")
        return None
    name = hashlib.sha256("-".join(sorted(batch.batch_id for batch in batches)).encode()).hexdigest()[:16]
    launched = context.instance.get_run_records(dg.RunsFilter(tags={BATCHES: name}))
    latest = launched[0].dagster_run if launched else run
    if latest.status is dg.DagsterRunStatus.CANCELED:
        context.log.info(f"run {latest.run_id} was cancelled: the batches of {asset_key} wait for a run by hand")
        return None
    if launched and time.time() - launched[0].create_timestamp.timestamp() < ONCE_AN_HOUR:
        return None
    return dg.RunRequest(
        run_key=f"{name}-{len(launched)}",
        job_name=job_name,
        run_config=run.run_config,
        tags={BATCHES: name, CONTINUES: run.tags.get(CONTINUES, run.run_id)},
        asset_selection=None if run.asset_selection is None else sorted(run.asset_selection),
        asset_check_keys=None if run.asset_check_selection is None else sorted(run.asset_check_selection),
        partition_key=batches[-1].partition_key,
    )
