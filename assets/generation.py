"""A generation: the policy steers the expert over this week's seeds."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from assets.arms import TRAINED_ARM
from assets.columns import TRANSITIONS, table_columns
from assets.expectations import ASKING, UNTRAINED, Pace, asking_of, last_pace, paces_of, rewriting, still_open
from assets.making import (
    DATASET_FIRST,
    OWNERS,
    UNANSWERED,
    AssetConfig,
    Output,
    make_or_reuse,
    output_of,
    refuse_silence,
)
from assets.manifests import (
    MANIFEST,
    ROLES,
    GenerationConfig,
    begin_generation,
    drift,
    identities_of,
    never_finished,
    prompt_versions,
)
from assets.outcomes import outcome_facts, outcome_metadata
from assets.partitions import GENERATIONS
from assets.policy import load_policy, policy_seeds, trained_policy, write_prompts
from assets.recording import EpisodeTables, content_of
from assets.seeds import read_seeds, seed_instructions
from resources.language_models.roles import LanguageModels
from resources.stores import Artefact, ArtefactStore, Draft, write_atomically
from teams_dagster.completions import loop
from teams_dagster.completions.engine import CallContext, Engine
from teams_dagster.completions.progress import Progress
from teams_dagster.completions.protocol import Asker, Role
from teams_dagster.dataset.generation import GenerationManifest, check_continuable
from teams_dagster.environment.episodes import OPEN_EPISODES, EpisodePlan, stream_episodes
from teams_dagster.environment.state import Episode, EpisodeKey, EpisodePurpose
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.instructions.novelty import Pool
from teams_dagster.ledger.estimates import Expected
from teams_dagster.ledger.tables import write_table
from teams_dagster.policy.checkpoint import Checkpoint
from teams_dagster.report import pictures
from teams_dagster.report.content import OperationAtStep
from teams_dagster.report.markdown import as_markdown_image, markdown_table

FAILED = "failed"
"""The cause of a transition whose question got no answer."""


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
    context: dg.AssetExecutionContext, config: GenerationConfig, store: ArtefactStore, models: LanguageModels
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


def generation_inputs(manifest: GenerationManifest) -> dict[str, str]:
    """What a generation is made from."""
    return {"generation": manifest.version}


def generation_output(asset: dg.AssetsDefinition, config: GenerationConfig, manifest: GenerationManifest) -> Output:
    """The output of a generation, whether it was made yet or not: its manifest says it all."""
    inputs = generation_inputs(manifest)
    return output_of(asset, config, inputs, settings={}, partition_key=manifest.partition_key)


def refuse_unfinished(config: GenerationConfig, manifest: GenerationManifest, earlier: Artefact | None) -> None:
    """Raises NothingToRetry where only failed questions are wanted of a generation that was never finished."""
    if config.only_failed and earlier is None:
        raise never_finished(manifest.partition_key)


def generation_questions(
    store: ArtefactStore,
    episodes: int,
    seeds: Collection[Instruction],
    policy: Artefact | None,
    earlier: Artefact | None,
) -> list[Expected]:
    """What a generation of so many `episodes` from `seeds` will ask; `policy` is None before it is trained."""
    stated = last_pace(policy) if policy else UNTRAINED
    return rewriting(Role.EXPERT, still_open(earlier, episodes), seeds, paces_of_generations(store), stated)


def paces_of_generations(store: ArtefactStore, key: str = TRAINED_ARM.instructions) -> list[Pace]:
    """What the episodes of an arm's generations so far asked."""
    return paces_of(store.current(key, partition) for partition in store.partitions(key))


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


def generation_policy(store: ArtefactStore, manifest: GenerationManifest) -> Artefact:
    """The policy that steers a generation."""
    return store.of_version("trained_policy", manifest.policy_version)


def generation_seeds(store: ArtefactStore, manifest: GenerationManifest) -> dict[str, Instruction]:
    """The seeds of a generation by id, in the manifest's order."""
    library = store.of_version("seed_instructions", manifest.seeds_version)
    texts = {seed.seed_id: seed.instruction for seed in read_seeds(library)}
    return {seed_id: texts[seed_id] for seed_id, _ in manifest.replicas}


def generation_world(
    store: ArtefactStore, manifest: GenerationManifest, asker: Asker
) -> tuple[Environment, Checkpoint, dict[str, Instruction]]:
    """What a generation happens in: its environment with `asker`, its policy, and its seeds' texts by id."""
    policy = generation_policy(store, manifest)
    checkpoint = load_policy(policy)
    pool, _ = policy_seeds(store.of_version("seed_instructions", policy.manifest["inputs"]["seed_instructions"]))
    environment = Environment(asker, Pool(pool.values()), checkpoint.config.reward, Role.EXPERT)
    return environment, checkpoint, generation_seeds(store, manifest)


def episode_plans(manifest: GenerationManifest, seeds: dict[str, Instruction]) -> Iterator[EpisodePlan]:
    """One episode from each seed of the generation, in the manifest's order."""
    for seed_id, replica in manifest.replicas:
        key = EpisodeKey(
            root_seed=manifest.root_seed,
            purpose=EpisodePurpose.GENERATE,
            policy=TRAINED_ARM.policy,
            policy_version=manifest.policy_version,
            seed_id=seed_id,
            partition_key=manifest.partition_key,
            replica=replica,
        )
        yield EpisodePlan(key, seeds[seed_id])


def _generation_row(manifest: GenerationManifest, run_id: str) -> dict[str, object]:
    return {
        "generation_version": manifest.version,
        "partition_key": manifest.partition_key,
        "policy_version": manifest.policy_version,
        "seeds_version": manifest.seeds_version,
        "seeds": len(manifest.replicas),
        "root_seed": manifest.root_seed,
        "fresh": manifest.fresh,
        "manifest": manifest.to_json(),
        "run_id": run_id,
    }


def _count(draft: Draft) -> dict[str, Any]:
    columns = ["operation", "accepted", "eliminated_by", "verdict", "failure", "queries"]
    rows = pq.read_table(draft.folder / "transitions.parquet", columns=columns)
    operations: dict[str, dict[str, int]] = {}
    causes: dict[str, int] = {}
    for row in rows.to_pylist():
        counts = operations.setdefault(row["operation"], {"chosen": 0, "accepted": 0})
        counts["chosen"] += 1
        counts["accepted"] += row["accepted"]
        if not row["accepted"]:
            cause = _cause(row)
            causes[cause] = causes.get(cause, 0) + 1
    return {
        "transitions": rows.num_rows,
        "accepted": sum(counts["accepted"] for counts in operations.values()),
        "questions": sum(rows["queries"].to_pylist()),
        "operations": operations,
        "not_accepted": causes,
        UNANSWERED: causes.get(FAILED, 0),
        ASKING: asking_of(draft.folder / "transitions.parquet"),
    }


def _cause(row: dict[str, str]) -> str:
    """Why a transition was not accepted."""
    if row["operation"] == "none":
        return "none"
    if row["failure"]:
        return FAILED
    return row["eliminated_by"] or row["verdict"]


def failures_of(generated: Artefact) -> dict[str, int]:
    """How many transitions failed, by which question and the kind of error."""
    failures = pq.read_table(generated.path("transitions.parquet"), columns=["failure"])["failure"].drop_null()
    return dict(Counter(" ".join([FAILED, *failure.split(": ")[:2]]) for failure in failures.to_pylist()))


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
