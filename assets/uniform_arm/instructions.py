"""A generation of the uniform arm: the seeds of the trained policy's generation, and as many queries."""

import dagster as dg

from assets.columns import UNIFORM_TRANSITIONS, table_columns
from assets.materialize import OWNERS, AssetConfig, materialization
from assets.partitions import GENERATIONS
from assets.pools import LANGUAGE_MODELS
from assets.preflight import preflight_of
from resources.language_models.roles import LanguageModels
from resources.language_models.side_by_side import working
from teams_dagster.dataset.generation_facts import generation_facts
from teams_dagster.dataset.manifests import ROLES, check_as_begun
from teams_dagster.dataset.pair_costs import pair_costs
from teams_dagster.dataset.playing import GenerationWork, generation_reward, play_generation
from teams_dagster.dataset.uniform import (
    generation_beside,
    seeds_line,
    uniform_playing,
    uniform_questions,
    uniform_worker,
)
from teams_dagster.environment.episodes import open_episodes_for
from teams_dagster.environment.recording import content_of
from teams_dagster.llm.context import CallContext
from teams_dagster.report.preview_dataset import generation_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import GenerationFacts


@dg.asset(
    group_name="uniform_arm",
    deps=["generated_instructions"],
    partitions_def=GENERATIONS,
    kinds={"openai", "parquet"},
    owners=OWNERS,
    metadata=table_columns("transitions", UNIFORM_TRANSITIONS),
    code_version="1",
    pool=LANGUAGE_MODELS,
    description="The operations drawn uniformly in the place of the trained policy, from the same seeds with the"
    " same models, prompts, reward and pool, until as many queries are asked as its generation asked.",
)
def uniform_instructions(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Play uniform beside the trained policy's generation of the same week, which must exist."""
    partition, log = context.partition_key, context.log.info
    beside = generation_beside(store, partition)
    inputs = beside.inputs
    with materialization(context, store, config=config, settings={}, inputs=inputs, publish=models.publish) as made:
        if made.draft is not None:
            check_as_begun(beside.manifest, models.found_out(*ROLES))
            models.check_reward(generation_reward(store, beside.trained))
            made.preflight = preflight_of(context, models, *ROLES)
            where = CallContext(context.run.run_id, "uniform_instructions", partition)
            expected = uniform_questions(store, beside, made.output.earlier(store))
            width = models.at_once(*ROLES, direct=open_episodes_for(models.settings().max_in_flight))
            work = GenerationWork(store, beside.trained)
            players = working(models, uniform_worker, work, where, *ROLES, expected=expected, width=width, log=log)
            play_generation(made.folder, where.run_id, uniform_playing(store, beside), players, width=width, log=log)
            facts = generation_facts(made.folder, models.outcomes(where))
            made.finish(content_of(made.folder / "transitions.parquet"), facts)
    asked = {"questions_of_trained": beside.questions}
    trained = store.current("generated_instructions", partition)
    with models.ledger.open() as ledger:
        return made.result(
            GenerationFacts,
            lambda made: {
                **generation_preview(made, pair_costs(ledger, made)),
                **asked,
                "seeds": seeds_line(store, made, trained),
            },
        )
