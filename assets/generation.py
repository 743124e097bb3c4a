"""A generation: the policy steers the expert over this week's seeds."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass

import dagster as dg
import pyarrow.parquet as pq

from assets.columns import TRANSITIONS, table_columns
from assets.making import make_or_reuse, refuse_silence
from assets.manifests import GenerationConfig, begin_generation, drift, identities_of, never_finished
from assets.materialize import DATASET_FIRST, OWNERS, AssetConfig, output_of
from assets.outcomes import outcome_facts, outcome_metadata
from assets.partitions import GENERATIONS
from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from resources.language_models.roles import LanguageModels
from teams_dagster.core.files import write_atomically
from teams_dagster.core.markdown import as_markdown_image, markdown_table
from teams_dagster.core.protocol import Asker
from teams_dagster.dataset.generation import GenerationManifest, check_continuable
from teams_dagster.dataset.manifests import MANIFEST, ROLES, prompt_versions
from teams_dagster.dataset.playing import (
    _count,
    _generation_row,
    episode_plans,
    generation_inputs,
    generation_policy,
    generation_seeds,
    generation_world,
)
from teams_dagster.dataset.query_forecast import generation_questions
from teams_dagster.environment.episodes import OPEN_EPISODES, stream_episodes
from teams_dagster.environment.recording import EpisodeTables, content_of
from teams_dagster.environment.state import Episode
from teams_dagster.instructions.stored_prompts import write_prompts
from teams_dagster.llm import loop
from teams_dagster.llm.engine import CallContext, Engine
from teams_dagster.llm.progress import Progress
from teams_dagster.pricing.forecast import Expected
from teams_dagster.report import pictures
from teams_dagster.report.content import OperationAtStep
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft, Output
from teams_dagster.store.facts.base import UNANSWERED
from teams_dagster.store.tables import write_table


@dg.asset(
    group_name="dataset",
    deps=[seed_instructions, trained_policy],
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
    with store.turn("generated_instructions", waiting=context.log.info):
        manifest = begin_generation(context, config, store, models)
    refuse_unfinished(config, manifest, generation_output(context.assets_def, config, manifest).earlier(store))
    note = drift(manifest, config, store, context)

    def expected() -> list[Expected]:
        earlier = generation_output(context.assets_def, config, manifest).earlier(store)
        seeds, policy = generation_seeds(store, manifest), generation_policy(store, manifest)
        return generation_questions(store, len(seeds), list(seeds.values()), policy, earlier)

    def episodes(asker: Asker, width: int) -> AsyncGenerator[Episode]:
        environment, checkpoint, seeds = generation_world(store, manifest, asker)
        return stream_episodes(environment, checkpoint.actor(), episode_plans(manifest, seeds), open_episodes=width)

    playing = Playing(manifest, generation_inputs(manifest), expected, episodes, len(manifest.replicas), "seeds")
    made = play_generation(context, config, store, models, playing)
    return made._replace(metadata={**(made.metadata or {}), "note": note}) if note else made


@dataclass(frozen=True)
class Playing:
    """How a generation of either arm is played."""

    manifest: GenerationManifest
    inputs: dict[str, str]
    expected: Callable[[], list[Expected]]
    """What it will ask."""
    episodes: Callable[[Asker, int], AsyncGenerator[Episode]]
    """Its episodes in their order, given whom to ask and how many may be open at once."""
    total: int
    """How many there will be, likely."""
    counted: str
    """What its progress calls them."""


def play_generation(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: ArtefactStore,
    models: LanguageModels,
    playing: Playing,
) -> dg.MaterializeResult:
    """Play a generation and write it down, or reuse what was played before."""
    manifest = playing.manifest
    where = CallContext(context.run.run_id, context.assets_def.key.to_user_string(), manifest.partition_key)

    def make(draft: Draft) -> None:
        check_continuable(manifest, prompt_versions(), identities_of(models))
        asking = models.asking(where, *ROLES, expected=playing.expected(), log=context.log.info, batches=True)
        width = models.at_once(*ROLES, direct=OPEN_EPISODES)
        loop.run(_generate(context, asking, playing, draft, width=width))
        write_prompts(draft.folder, context.run.run_id)
        write_table(draft.folder, "generations", [_generation_row(manifest, context.run.run_id)])
        write_atomically(draft.folder / MANIFEST, manifest.to_json())
        facts = _count(draft) | outcome_facts(models, where)
        refuse_silence(facts, "questions", facts[UNANSWERED])
        draft.finish(content_of(draft.folder / "transitions.parquet"), facts)

    return make_or_reuse(
        context,
        store,
        config=config,
        settings={},
        inputs=playing.inputs,
        make=make,
        show=_show_generated,
        published=models.publish,
    )


def generation_output(asset: dg.AssetsDefinition, config: GenerationConfig, manifest: GenerationManifest) -> Output:
    """The output of a generation, whether it was made yet or not: its manifest says it all."""
    inputs = generation_inputs(manifest)
    return output_of(asset, config, inputs, settings={}, partition_key=manifest.partition_key)


def refuse_unfinished(config: GenerationConfig, manifest: GenerationManifest, earlier: Artefact | None) -> None:
    """Raises NothingToRetry where only failed questions are wanted of a generation that was never finished."""
    if config.only_failed and earlier is None:
        raise never_finished(manifest.partition_key)


async def _generate(
    context: dg.AssetExecutionContext,
    asking: AbstractAsyncContextManager[Engine],
    playing: Playing,
    draft: Draft,
    *,
    width: int,
) -> None:
    async with (
        asking as engine,
        Progress(
            playing.total, playing.counted, engine.tallies, context.log.info, kept="instructions accepted"
        ) as progress,
    ):
        with EpisodeTables(draft.folder, context.run.run_id) as tables:
            async with aclosing(playing.episodes(engine, width)) as episodes:
                async for episode in episodes:
                    tables.record([episode])
                    progress.done(episode.accepted)


def _by_step(generated: Artefact) -> list[OperationAtStep]:
    columns = ["step", "operation", "accepted"]
    table = pq.read_table(generated.path("transitions.parquet"), columns=columns)
    counted = table.group_by(["step", "operation"]).aggregate([([], "count_all"), ("accepted", "sum")])
    return [
        OperationAtStep(row["step"], row["operation"], row["count_all"], row["accepted_sum"])
        for row in counted.to_pylist()
    ]


def _show_generated(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    facts = artefact.facts
    rows = [(name, counts["chosen"], counts["accepted"]) for name, counts in sorted(facts["operations"].items())]
    picture = pictures.operation_mix_by_step(_by_step(artefact))
    return {
        "dagster/row_count": facts["transitions"],
        "accepted": facts["accepted"],
        "questions": facts["questions"],
        "accepted_per_query": facts["accepted"] / max(1, facts["questions"]),
        "operations": dg.MetadataValue.md(markdown_table(("operation", "chosen", "accepted"), rows)),
        "operation_mix": dg.MetadataValue.md(as_markdown_image(picture, "Operations by step")),
        "not_accepted": dg.MetadataValue.json(facts["not_accepted"]),
        **outcome_metadata(facts),
    }
