"""The seed file: one that is new or changed is read, and what a generation of it would cost is said. Asks nothing."""

# Dagster's own signatures leave generics open:
# pyright: reportUnknownMemberType=false

import dagster as dg

from assets.materialize import to_metadata
from assets.partitions import GENERATIONS
from resources.language_models.roles import LanguageModels
from teams_dagster.automation.run_estimate import estimate_run
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.metadata import Table
from teams_dagster.instructions.file_rows import SeedFileError
from teams_dagster.instructions.stored_seeds import seed_inputs, seed_sources
from teams_dagster.settings import SettingsError
from teams_dagster.store.artefact_store import ArtefactMissing, ArtefactStore

SEEDS = dg.AssetKey("seed_instructions")

read_seeds = dg.define_asset_job(
    "read_seeds",
    selection=dg.AssetSelection.assets(SEEDS),
    executor_def=dg.in_process_executor,
    description="Read the seed file: seeds, refused rows, checks. Asks nothing.",
)


@dg.op(description="What this week's generation would ask and cost if it began now, with the seed file as it is.")
def estimate_a_generation(context: dg.OpExecutionContext, models: LanguageModels) -> None:
    """Log it as an observation of `seed_instructions`. Raises what the generation would before its first query."""
    week = GENERATIONS.get_partition_keys()[-1]
    wanted = (SEEDS.to_user_string(), "generated_instructions", "expert_responses")
    configs = {"generated_instructions": {"policy": "latest"}}
    found = estimate_run(models.settings(), week, configs, wanted)
    steps = Table(("asset", "estimate"), [(key, str(estimate)) for key, estimate, _ in found.steps])
    details = {"queries": found.total.queries.likely, "estimate": steps}
    context.log.info(f"a generation of these seeds: {found.total}")
    context.log_event(
        dg.AssetObservation(
            asset_key=SEEDS,
            description=f"A generation that begins now: {found.total}",
            metadata=to_metadata(details),
        )
    )


@dg.job(
    executor_def=dg.in_process_executor,
    description="What a generation that begins now would ask and cost: logged among the events of seed_instructions."
    " Asks nothing.",
)
def estimate_generation() -> None:
    """The command `teams estimate` in the UI, for one generation."""
    estimate_a_generation()


@dg.sensor(
    jobs=[read_seeds, estimate_generation],
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="When the file of TEAMS_SEEDS or TEAMS_EVALUATION_SETS is new or changed: reads it, and says what a"
    " generation of it would cost. Asks nothing. Off until switched on.",
)
def read_changed_seeds(
    context: dg.SensorEvaluationContext, store: dg.ResourceParam[ArtefactStore], models: LanguageModels
) -> dg.SensorResult | dg.SkipReason:
    """Two runs for each change of the files, whatever becomes of them.

    The cursor is what the files hold beside what was read of them last. The runs have no key: Dagster launches a key
    once for ever, and a file may come back to what it held before.
    """
    try:
        settings = models.settings()
        path, evaluation_texts = seed_sources(settings.seeds, settings.evaluation_sets)
        if not path.is_file():
            return dg.SkipReason(f"TEAMS_SEEDS names {path}, and there is no such file")
        inputs = seed_inputs(path, evaluation_texts)
        read = store.current("seed_instructions").manifest if store.exists("seed_instructions") else None
    except (SettingsError, SeedFileError, ArtefactMissing, OSError) as error:
        return dg.SkipReason(str(error))
    cursor = content_hash("seed file", inputs, read and [read["fingerprint"], read.get("run_id")])[:16]
    if read is not None and read["inputs"] == inputs:
        return dg.SensorResult(skip_reason=f"{path.name} is as seed_instructions read it", cursor=cursor)
    if context.cursor == cursor:
        return dg.SkipReason(f"reading {path.name} was launched already; materialise seed_instructions to try it again")
    runs = [dg.RunRequest(job_name=name) for name in (read_seeds.name, estimate_generation.name)]
    return dg.SensorResult(run_requests=runs, cursor=cursor)
