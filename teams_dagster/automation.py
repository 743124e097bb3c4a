"""Door: a job for each natural piece of work, the weekly schedule, and the sensor that goes on when batches ended."""

import asyncio
import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

import dagster as dg
import duckdb
from pydantic import Field

from assets.materialize import to_metadata
from assets.models.jobs import merge_adapter, push_to_hub
from assets.partitions import GENERATIONS
from assets.preflight import preflight
from assets.preview import preview
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from teams_dagster.core.protocol import CompletionError, ErrorKind
from teams_dagster.ledger.batches import Batch, unattended
from teams_dagster.ledger.database import LedgerError
from teams_dagster.lineage.trace import trace
from teams_dagster.lineage.tree import lineage_details
from teams_dagster.policy.comparison.plan import STUDY
from teams_dagster.pricing.paid_assets import PAID, UNIFORM_PAID
from teams_dagster.settings import SettingsError

ONCE_AN_HOUR = 3_600
"""Seconds between two launches for the same batches, should the first run not have come as far as to collect them."""

CONTINUES = "teams/continues"
"""Run tag: the id of the run that a run goes on from; the first one, however many came between."""

PARTITION = "dagster/partition"
"""Run tag: the partition of a run, as Dagster names it."""

BATCHES = "teams/batches"
"""Run tag: which batches a run was launched for."""

AD_HOC = "__ASSET_JOB"
"""The job of runs whose assets were picked by hand, as Dagster names it."""

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""Statuses of runs that have not ended."""

_SLOW_AUDITS = dg.AssetSelection.checks(
    dg.AssetCheckKey(dg.AssetKey("sample_lineage"), "stored_fields_are_unchanged"),
    dg.AssetCheckKey(dg.AssetKey("query_costs"), "read_model_tells_what_is_stored"),
)
"""What `sample_lineage` has just done in the same run, and what nobody can have changed since it was published."""

UNIFORM = "uniform_arm"
"""The group of the assets that only their own job makes."""

_WHOLE_GRAPH = dg.AssetSelection.all() - dg.AssetSelection.groups(UNIFORM) - _SLOW_AUDITS

everything = dg.define_asset_job(
    "everything",
    selection=_WHOLE_GRAPH,
    executor_def=dg.in_process_executor,
    description="Seeds to scores for one generation, in one process. What has not changed is reused.",
)

IMPORTED_ONCE = [
    *("resources.no_orphans", "teams_dagster.definitions"),
    *("dagster._core.storage.runs", "dagster._core.storage.event_log", "dagster._core.storage.schedules"),
    *("dagster._core.storage.local_compute_log_manager", "dagster._daemon.daemon", "sqlalchemy.dialects.sqlite"),
    *("duckdb", "pyarrow.dataset", "pyarrow.parquet", "matplotlib.pyplot", "matplotlib.backends.backend_agg"),
    *("torch._dynamo", "peft", "transformers.models.llama.modeling_llama"),
]
"""What most steps import. A step is forked from a process that has it all: that takes a third of a second, not five."""

demo = dg.define_asset_job(
    "demo",
    selection=_WHOLE_GRAPH,
    executor_def=dg.multiprocess_executor.configured(
        {"max_concurrent": 2, "start_method": {"forkserver": {"preload_modules": IMPORTED_ONCE}}}
    ),
    description="The same as `everything`, two steps at a time, for the embedded rules and the embedded student. Run"
    " `everything` with others: each step keeps a provider's limits a minute, and fills a GPU, as if it were alone.",
)

uniform_arm = dg.define_asset_job(
    "uniform_arm",
    selection=dg.AssetSelection.groups(UNIFORM) | dg.AssetSelection.assets("paper_table", "report"),
    executor_def=dg.in_process_executor,
    description="The same stages with operations drawn uniformly, beside a generation of the trained policy and at as"
    " many queries as that asked, into an arm of its own: dataset, adapter, scores; the paper's table and the report"
    " then have these.",
)

train_policy = dg.define_asset_job(
    "train_policy",
    selection=dg.AssetSelection.groups("seeds", "policy"),
    description="Read the seeds, train the policy, compare it on seeds it was never trained on.",
)

policy_study = dg.define_asset_job(
    "policy_study",
    selection=dg.AssetSelection.assets("policy_comparison", "report"),
    config={"ops": {"policy_comparison": {"config": STUDY}}},
    description="The whole comparison: the trained policy against every baseline and every ablation, five trainings of"
    " each. By default a comparison leaves out what takes longest.",
)

regenerate = dg.define_asset_job(
    "regenerate",
    selection=dg.AssetSelection.groups("dataset") | dg.AssetSelection.assets("query_costs", "sample_lineage"),
    executor_def=dg.in_process_executor,
    description="One generation: the policy steers the expert, the expert answers, the dataset takes the samples in.",
)

dataset = dg.define_asset_job(
    "dataset",
    selection=dg.AssetSelection.groups("seeds", "dataset") | dg.AssetSelection.assets("query_costs", "sample_lineage"),
    executor_def=dg.in_process_executor,
    config={"ops": {"generated_instructions": {"config": {"policy": "uniform"}}}},
    description="A dataset of one generation without training a policy: seeds to export. `policy` in its configuration"
    " is uniform; round_robin, or the version or folder of a policy that was trained before, do as well.",
)

retry_failed = dg.define_asset_job(
    "retry_failed",
    selection=dg.AssetSelection.groups("dataset") | dg.AssetSelection.assets("query_costs", "sample_lineage"),
    executor_def=dg.in_process_executor,
    config={
        "ops": {
            "generated_instructions": {"config": {"only_failed": True}},
            "expert_responses": {"config": {"only_failed": True}},
        }
    },
    description="Ask again what got no answer in one generation, and nothing else: what is answered is reused.",
)

fine_tune_and_evaluate = dg.define_asset_job(
    "fine_tune_and_evaluate",
    selection=dg.AssetSelection.groups("models", "evaluation") | dg.AssetSelection.assets("report"),
    executor_def=dg.in_process_executor,
    description="Train the adapters on the current dataset, score them, and write the report.",
)

train_on_pairs = dg.define_asset_job(
    "train_on_pairs",
    selection=dg.AssetSelection.assets("instruction_dataset", "evaluation_scores", "privacy_audit")
    | dg.AssetSelection.groups("models"),
    executor_def=dg.in_process_executor,
    description="People's own pairs (TEAMS_PAIRS, TEAMS_PAIRS_MODE=instead) to scored adapters: no query is sent.",
)

checks = dg.define_asset_job(
    "checks",
    selection=dg.AssetSelection.all_asset_checks(),
    executor_def=dg.in_process_executor,
    description="Every asset check on what is stored; nothing is materialised.",
)


class TracedSample(dg.Config):
    """Which sample."""

    sample_id: str = Field(description="The sample's id, or the beginning of it: six characters or more.")


@dg.op(description="Look a sample's lineage up, and log it as an observation of expert_responses.")
def look_up_sample(context: dg.OpExecutionContext, config: TracedSample, ledger: LedgerConnection) -> None:
    """Raises NotFound for an id that nothing has."""
    ledger.refresh(context.instance)
    with duckdb.connect(ledger.read_model, read_only=True) as connection:
        found = trace(connection, config.sample_id)
    context.log_event(
        dg.AssetObservation(
            asset_key="expert_responses",
            partition=found.partition_key,
            description=f"How sample {found.sample_id or found.transition_id} came about",
            metadata=to_metadata(lineage_details(found)),
        )
    )


@dg.job(
    executor_def=dg.in_process_executor,
    description="Which actions made a sample: logged among the events of expert_responses. Asks and makes nothing.",
)
def trace_sample() -> None:
    """The command `teams lineage` in the UI."""
    look_up_sample()


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


JOBS = [
    everything,
    demo,
    uniform_arm,
    train_policy,
    policy_study,
    regenerate,
    dataset,
    retry_failed,
    fine_tune_and_evaluate,
    train_on_pairs,
    preflight,
    preview,
    merge_adapter,
    push_to_hub,
    checks,
    trace_sample,
]


GO_ON = [everything, regenerate, dataset, retry_failed, uniform_arm]
"""The jobs that may hand batches in."""


@dg.sensor(
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


SCHEDULES = [weekly_generation]
SENSORS = [collect_batches]
