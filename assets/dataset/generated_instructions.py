"""A generation: the policy steers the expert over this week's seeds."""

from functools import partial

import dagster as dg

from assets.columns import TRANSITIONS, table_columns
from assets.dataset.config import GenerationConfig
from assets.materialize import DATASET_FIRST, OWNERS, materialization, output_of
from assets.partitions import GENERATIONS
from assets.preflight import preflight_of, tried_episodes
from resources.language_models.roles import LanguageModels
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.dataset.manifests import (
    ROLES,
    begin_generation,
    check_as_begun,
    kept_from_before,
    kept_manifest,
    refuse_unfinished,
)
from teams_dagster.dataset.playing import generation_facts, generation_inputs, play_generation, trained_playing
from teams_dagster.dataset.query_forecast import answers_to_come, begun_generation_questions
from teams_dagster.dataset.steering import policy_title
from teams_dagster.environment.episodes import OPEN_EPISODES
from teams_dagster.environment.recording import content_of
from teams_dagster.llm.context import CallContext
from teams_dagster.report.preview_dataset import generation_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import GenerationFacts


@dg.asset(
    group_name="dataset",
    deps=["seed_instructions", "trained_policy"],
    partitions_def=GENERATIONS,
    kinds={"openai", "parquet"},
    owners=OWNERS,
    op_tags=DATASET_FIRST,
    metadata=table_columns("transitions", TRANSITIONS),
    code_version="1",
    description="The policy steering the expert over this generation's seeds: every transition, accepted or not.",
)
def generated_instructions(
    context: dg.AssetExecutionContext,
    config: GenerationConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Run one episode from each seed of the generation. Made again, it follows its manifest and asks nothing anew."""
    partition, log = context.partition_key, context.log.info
    settings = config.settings(models.settings().seed_rotation_weeks)
    where = CallContext(context.run.run_id, "generated_instructions", partition)
    identities = partial(models.found_out, *ROLES)

    def check_budget(begun: GenerationManifest) -> None:
        tried = tried_episodes(models, Role.EXPERT)
        expected = [*begun_generation_questions(store, begun, None, tried), *answers_to_come(store, begun)]
        models.check_budget(where, *ROLES, expected=expected)

    if not settings.only_failed and kept_manifest(store, partition, settings, identities) is None:
        preflight_of(context, models, *ROLES)  # a generation that has begun keeps its models
    with store.turn("generated_instructions", waiting=log):
        manifest = begin_generation(store, partition, settings, identities, log=log, check=check_budget)
    inputs = generation_inputs(manifest)
    output = output_of(context.assets_def, config, inputs, settings={}, partition_key=partition)
    refuse_unfinished(settings, manifest, output.earlier(store))
    note = kept_from_before(store, manifest, settings)
    if note:
        context.log.warning(note)
    with materialization(context, store, config=config, settings={}, inputs=inputs, publish=models.publish) as made:
        if made.draft is not None:
            check_as_begun(manifest, models.found_out(*ROLES))
            made.preflight = preflight_of(context, models, *ROLES)
            tried = tried_episodes(models, Role.EXPERT)
            expected = begun_generation_questions(store, manifest, output.earlier(store), tried)
            asking = models.asking(where, *ROLES, expected=expected, log=log, batches=True)
            width = models.at_once(*ROLES, direct=OPEN_EPISODES)
            play_generation(made.folder, where.run_id, trained_playing(store, manifest), asking, width=width, log=log)
            facts = generation_facts(made.folder, models.outcomes(where))
            made.finish(content_of(made.folder / "transitions.parquet"), facts)
    noted = {"policy": policy_title(manifest.policy_version), **({"note": note} if note else {})}
    return made.result(GenerationFacts, lambda artefact: {**generation_preview(artefact), **noted})
