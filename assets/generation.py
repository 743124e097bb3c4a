"""A generation: the policy steers the expert over this week's seeds, and the expert answers."""

import asyncio
from collections.abc import Iterator
from typing import Literal

import dagster as dg
import pyarrow.parquet as pq
from pydantic import Field

from assets.making import OWNERS, AssetConfig, make_or_reuse
from assets.partitions import GENERATIONS
from assets.policy import load_policy, policy_of_version, policy_seeds, trained_policy, write_prompts
from assets.recording import EpisodeTables
from assets.seeds import read_seeds, seed_instructions
from resources.language_models.roles import LanguageModels
from resources.stores import Artefact, ArtefactStore, Draft, write_atomically
from teams_dagster.completions.engine import CallContext
from teams_dagster.completions.protocol import Asker, ModelIdentity, Role
from teams_dagster.dataset.answers import answer_transitions
from teams_dagster.dataset.generation import (
    GenerationChanged,
    GenerationManifest,
    check_continuable,
    check_trained_for,
    choose_seeds,
    replicas_for,
)
from teams_dagster.dataset.sample import Accepted
from teams_dagster.environment.episodes import Actor, EpisodePlan, stream_episodes
from teams_dagster.environment.state import EpisodeKey, EpisodePurpose
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.instructions.novelty import Pool
from teams_dagster.instructions.prompts import all_prompts
from teams_dagster.ledger.tables import TableWriter, write_table
from teams_dagster.report.markdown import markdown_table
from teams_dagster.streams import content_hash

MANIFEST = "generation.json"
AT_ONCE = 1_000
"""Rows read and written at a time."""
REPORT_EVERY = 20
SHOWN = 5

_ROLES = (Role.EXPERT, Role.REVIEWER)


class GenerationConfig(AssetConfig):
    """What a generation is begun with. Once begun, its manifest rules."""

    seeds: int = Field(
        default=120, ge=1, description="Seeds of this generation, drawn for it; all when there are fewer."
    )
    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")
    policy: Literal["manifest", "latest"] = Field(
        default="manifest", description="`latest`: begin this generation again with the policy of now."
    )
    fresh: bool = Field(default=False, description="Begin this generation again and buy new answers, on purpose.")
    foreign_policy: bool = Field(
        default=False, description="Let a policy trained with other kinds of models steer this generation."
    )


@dg.asset(
    group_name="dataset",
    deps=[seed_instructions, trained_policy],
    partitions_def=GENERATIONS,
    kinds={"openai", "parquet"},
    owners=OWNERS,
    code_version="1",
    description="The policy steering the expert over this generation's seeds: every transition, accepted or not.",
)
def generated_instructions(
    context: dg.AssetExecutionContext, config: GenerationConfig, store: ArtefactStore, models: LanguageModels
) -> dg.MaterializeResult:
    """Run one episode from each seed of the generation. Made again, it follows its manifest and asks nothing anew."""
    manifest = _begin(context, config, store, models)

    def make(draft: Draft) -> None:
        check_continuable(manifest, _prompt_versions(), _identities(models))
        asyncio.run(_generate(context, models, store, manifest, draft))
        write_prompts(draft.folder, context.run_id)
        write_table(draft.folder, "generations", [_generation_row(manifest, context.run_id)])
        write_atomically(draft.folder / MANIFEST, manifest.to_json())
        draft.finish(content_hash("transitions", _transition_ids(draft)), _count(draft))

    return make_or_reuse(
        context,
        store,
        config=config,
        settings={},
        inputs={"generation": manifest.version},
        make=make,
        show=_show_generated,
    )


def _begin(
    context: dg.AssetExecutionContext, config: GenerationConfig, store: ArtefactStore, models: LanguageModels
) -> GenerationManifest:
    """The generation's manifest: as it was written, or written now, before the first question."""
    partition = context.partition_key
    path = store.place("generated_instructions", partition) / MANIFEST
    begun = GenerationManifest.from_json(path.read_text(encoding="utf-8")) if path.exists() else None
    if begun and not config.fresh and config.policy == "manifest":
        return begun
    if begun and config.fresh and begun.fresh and _can_go_on(begun, store, models):
        context.log.info("the fresh generation that was begun before goes on; it is not begun yet again")
        return begun
    seeds, policy = store.current("seed_instructions"), store.current("trained_policy")
    origin = load_policy(policy).origin
    identities = _identities(models)
    check_trained_for(
        trained=(origin.instructor, origin.reviewer), used=tuple(identities.values()), allowed=config.foreign_policy
    )
    fresh = (begun.fresh if begun else 0) + config.fresh
    chosen = choose_seeds([s.seed_id for s in read_seeds(seeds)], config.seeds, config.root_seed, partition)
    manifest = GenerationManifest(
        partition_key=partition,
        policy_version=policy.data_version,
        seeds_version=seeds.data_version,
        replicas=replicas_for(chosen, partition, list(_manifests(store)), fresh),
        prompt_versions=tuple(sorted(_prompt_versions().items())),
        models=tuple(identities.items()),
        root_seed=config.root_seed,
        fresh=fresh,
    )
    write_atomically(path, manifest.to_json())
    return manifest


def _can_go_on(begun: GenerationManifest, store: ArtefactStore, models: LanguageModels) -> bool:
    """Whether a generation was interrupted and can be finished as it was begun."""
    place = store.place("generated_instructions", begun.partition_key)
    if any(GenerationManifest.from_json(path.read_text()) == begun for path in place.glob(f"[!.]*/{MANIFEST}")):
        return False
    try:
        check_continuable(begun, _prompt_versions(), _identities(models))
    except GenerationChanged:
        return False
    return True


def _identities(models: LanguageModels) -> dict[str, ModelIdentity]:
    return {role.value: identity for role, identity in models.identities(*_ROLES).items()}


def _manifests(store: ArtefactStore) -> Iterator[GenerationManifest]:
    for path in sorted(store.place("generated_instructions").glob(f"*/{MANIFEST}")):
        yield GenerationManifest.from_json(path.read_text(encoding="utf-8"))


def _prompt_versions() -> dict[str, str]:
    return {prompt.name: prompt.version for prompt in all_prompts()}


async def _generate(
    context: dg.AssetExecutionContext,
    models: LanguageModels,
    store: ArtefactStore,
    manifest: GenerationManifest,
    draft: Draft,
) -> None:
    where = CallContext(context.run_id, "generated_instructions", manifest.partition_key)
    total, done, accepted = len(manifest.replicas), 0, 0
    async with models.asking(where, *_ROLES) as engine:
        environment, actor, seeds = generation_world(store, manifest, engine)
        with EpisodeTables(draft.folder, context.run_id) as tables:
            async for episode in stream_episodes(environment, actor, episode_plans(manifest, seeds)):
                tables.record([episode])
                done, accepted = done + 1, accepted + episode.accepted
                if done % max(1, total // REPORT_EVERY) == 0 or done == total:
                    context.log.info(
                        f"{done} of {total} seeds, {accepted} instructions accepted,"
                        f" {engine.tallies.asked} questions ({engine.tallies.reused} reused)"
                    )


def generation_world(
    store: ArtefactStore, manifest: GenerationManifest, asker: Asker
) -> tuple[Environment, Actor, dict[str, Instruction]]:
    """What a generation happens in: its environment with `asker`, its policy, and its seeds' texts by id."""
    policy = policy_of_version(store, manifest.policy_version)
    checkpoint = load_policy(policy)
    pool, _ = policy_seeds(seeds_of_version(store, policy.manifest["inputs"]["seed_instructions"]))
    seeds = {seed.seed_id: seed.instruction for seed in read_seeds(seeds_of_version(store, manifest.seeds_version))}
    return Environment(asker, Pool(pool.values()), checkpoint.config.reward, Role.EXPERT), checkpoint.actor(), seeds


def episode_plans(manifest: GenerationManifest, seeds: dict[str, Instruction]) -> Iterator[EpisodePlan]:
    """One episode from each seed of the generation, in the manifest's order."""
    for seed_id, replica in manifest.replicas:
        key = EpisodeKey(
            root_seed=manifest.root_seed,
            purpose=EpisodePurpose.GENERATE,
            policy="trained",
            policy_version=manifest.policy_version,
            seed_id=seed_id,
            partition_key=manifest.partition_key,
            replica=replica,
        )
        yield EpisodePlan(key, seeds[seed_id])


def seeds_of_version(store: ArtefactStore, version: str) -> Artefact:
    """The artefact of `seed_instructions` with this data version. Raises LookupError when it is gone."""
    for artefact, _ in store.everything():
        if artefact.manifest["asset_key"] == "seed_instructions" and artefact.data_version == version:
            return artefact
    raise LookupError(f"the seeds of version {version} are not in {store.root} any more: restore their folder")


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


def _transition_ids(draft: Draft) -> list[str]:
    return pq.read_table(draft.folder / "transitions.parquet", columns=["transition_id"])["transition_id"].to_pylist()


def _count(draft: Draft) -> dict[str, object]:
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
    }


def _cause(row: dict[str, str]) -> str:
    """Why a transition was not accepted."""
    if row["operation"] == "none":
        return "none"
    if row["failure"]:
        return "failed"
    return row["eliminated_by"] or row["verdict"]


def _show_generated(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    facts = artefact.facts
    rows = [(name, counts["chosen"], counts["accepted"]) for name, counts in sorted(facts["operations"].items())]
    return {
        "dagster/row_count": facts["transitions"],
        "accepted": facts["accepted"],
        "questions": facts["questions"],
        "accepted_per_query": facts["accepted"] / max(1, facts["questions"]),
        "operations": dg.MetadataValue.md(markdown_table(("operation", "chosen", "accepted"), rows)),
        "not_accepted": dg.MetadataValue.json(facts["not_accepted"]),
    }


@dg.asset(
    group_name="dataset",
    deps=[generated_instructions],
    partitions_def=GENERATIONS,
    kinds={"openai", "parquet"},
    owners=OWNERS,
    code_version="1",
    description="The expert's answer to every accepted instruction; rejected answers are kept with their reason.",
)
def expert_responses(
    context: dg.AssetExecutionContext, config: AssetConfig, store: ArtefactStore, models: LanguageModels
) -> dg.MaterializeResult:
    """Ask the expert to answer each accepted instruction of the generation."""
    generated = store.current("generated_instructions", context.partition_key)

    def make(draft: Draft) -> None:
        manifest = GenerationManifest.from_json(generated.path(MANIFEST).read_text(encoding="utf-8"))
        check_continuable(manifest, _prompt_versions(), _identities(models))
        asyncio.run(_answer(context, models, generated, manifest, draft))
        write_prompts(draft.folder, context.run_id)
        facts, version = _judge(draft)
        draft.finish(version, facts)

    return make_or_reuse(
        context,
        store,
        config=config,
        inputs={"generated_instructions": generated.manifest["fingerprint"]},
        make=make,
        show=_show_responses,
    )


async def _answer(
    context: dg.AssetExecutionContext,
    models: LanguageModels,
    generated: Artefact,
    manifest: GenerationManifest,
    draft: Draft,
) -> None:
    where = CallContext(context.run_id, "expert_responses", manifest.partition_key)
    total, done, kept = generated.facts["accepted"], 0, 0
    width = 4 * models.settings().max_in_flight
    async with models.asking(where, Role.EXPERT) as engine:
        with TableWriter(draft.folder, "samples") as samples:
            async for sample in answer_transitions(
                engine,
                accepted_of(generated),
                dict(manifest.replicas),
                partition_key=manifest.partition_key,
                width=width,
            ):
                samples.write([sample.row() | {"run_id": context.run_id}])
                done, kept = done + 1, kept + sample.accepted
                if done % max(1, total // REPORT_EVERY) == 0 or done == total:
                    context.log.info(f"{done} of {total} answers, {kept} kept, {engine.tallies.reused} reused")


def accepted_of(generated: Artefact) -> Iterator[Accepted]:
    """The accepted transitions of a generation, in its order."""
    instructions = {
        row["instruction_id"]: Instruction(row["text"], row["input"])
        for batch in pq.ParquetFile(generated.path("instructions.parquet")).iter_batches(AT_ONCE)
        for row in batch.to_pylist()
    }
    for batch in pq.ParquetFile(generated.path("transitions.parquet")).iter_batches(AT_ONCE):
        for row in batch.to_pylist():
            if row["accepted"]:
                yield Accepted(
                    transition_id=row["transition_id"],
                    episode_id=row["episode_id"],
                    step=row["step"],
                    seed_id=row["seed_id"],
                    instruction=instructions[row["instruction_id"]],
                )


def _judge(draft: Draft) -> tuple[dict[str, object], str]:
    rows = pq.read_table(draft.folder / "samples.parquet", columns=["sample_id", "response", "accepted", "reason"])
    reasons: dict[str, int] = {}
    content = []
    for row in rows.to_pylist():
        content.append(content_hash(row["sample_id"], row["response"]))
        if not row["accepted"]:
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
    kept = rows.num_rows - sum(reasons.values())
    return {"samples": rows.num_rows, "kept": kept, "refused": reasons}, content_hash("samples", content)


def _show_responses(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    facts = artefact.facts
    batches = pq.ParquetFile(artefact.path("samples.parquet")).iter_batches(
        SHOWN, columns=["instruction", "input", "response"]
    )
    first = next(batches, None)
    rows = [tuple(row.values()) for row in first.to_pylist()] if first else []
    return {
        "dagster/row_count": facts["samples"],
        "kept": facts["kept"],
        "refused": dg.MetadataValue.json(facts["refused"]),
        "examples": dg.MetadataValue.md(markdown_table(("instruction", "input", "response"), rows)),
    }
