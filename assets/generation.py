"""A generation: the policy steers the expert over this week's seeds, and the expert answers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import pyarrow.parquet as pq
from pydantic import Field

from assets.making import OWNERS, UNANSWERED, AssetConfig, make_or_reuse
from assets.partitions import GENERATIONS
from assets.policy import load_policy, policy_seeds, trained_policy, write_prompts
from assets.recording import EpisodeTables
from assets.seeds import read_seeds, seed_instructions
from resources.language_models.roles import LanguageModels
from resources.stores import Artefact, ArtefactStore, Draft, write_atomically
from teams_dagster.completions.engine import CallContext
from teams_dagster.completions.protocol import Asker, ModelIdentity, Role
from teams_dagster.dataset.answers import NO_ANSWER, answer_transitions
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
REPORT_EVERY = 10
SHOWN = 5
FAILED = "failed"
"""The cause of a transition whose question got no answer."""

_NOT_CONTENT = {"run_id", "rewrite_request_id", "review_request_id", "respond_request_id"}
"""Columns that tell how a row came about, not what it says: another run gives the same content another id."""

_ROLES = (Role.EXPERT, Role.REVIEWER)


class NothingAnswered(RuntimeError):
    """A step that asked, and got no answer at all."""


class GenerationConfig(AssetConfig):
    """What a generation is begun with. Once begun, its manifest rules."""

    seeds: int = Field(
        default=240, ge=1, description="Seeds of this generation, drawn for it; all when there are fewer."
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
    with store.turn("generated_instructions", waiting=context.log.info):
        manifest = _begin(context, config, store, models)

    def make(draft: Draft) -> None:
        check_continuable(manifest, prompt_versions(), _identities(models))
        asyncio.run(_generate(context, models, store, manifest, draft))
        write_prompts(draft.folder, context.run.run_id)
        write_table(draft.folder, "generations", [_generation_row(manifest, context.run.run_id)])
        write_atomically(draft.folder / MANIFEST, manifest.to_json())
        facts = _count(draft)
        _refuse_silence(facts, "questions", facts[UNANSWERED])
        draft.finish(_content_of(draft.folder / "transitions.parquet"), facts)

    return make_or_reuse(
        context,
        store,
        config=config,
        settings={},
        inputs={"generation": manifest.version},
        make=make,
        show=_show_generated,
        published=models.publish,
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
    others = [other for other in _manifests(store) if other.partition_key != partition]
    chosen = choose_seeds([s.seed_id for s in read_seeds(seeds)], config.seeds, config.root_seed, partition)
    manifest = GenerationManifest(
        partition_key=partition,
        policy_version=policy.data_version,
        seeds_version=seeds.data_version,
        replicas=replicas_for(chosen, others, fresh, own=dict(begun.replicas) if begun else {}),
        prompt_versions=tuple(sorted(prompt_versions().items())),
        models=tuple(identities.items()),
        root_seed=config.root_seed,
        fresh=fresh,
    )
    write_atomically(path, manifest.to_json())
    return manifest


def _can_go_on(begun: GenerationManifest, store: ArtefactStore, models: LanguageModels) -> bool:
    """Whether a generation was interrupted, before its answers were bought, and can be finished as it was begun."""
    answered = store.all_of("expert_responses", begun.partition_key)
    if any(read_manifest(generated_for(store, responses)) == begun for responses in answered):
        return False
    try:
        check_continuable(begun, prompt_versions(), _identities(models))
    except GenerationChanged:
        return False
    return True


def read_manifest(generated: Artefact) -> GenerationManifest:
    """The manifest that a `generated_instructions` artefact was made from."""
    return GenerationManifest.from_json(generated.path(MANIFEST).read_text(encoding="utf-8"))


def generated_for(store: ArtefactStore, responses: Artefact) -> Artefact:
    """The instructions that the answers in an `expert_responses` artefact belong to."""
    version, partition = responses.manifest["inputs"]["generated_instructions"], responses.manifest["partition_key"]
    return store.of_version("generated_instructions", version, partition)


def _identities(models: LanguageModels) -> dict[str, ModelIdentity]:
    return {role.value: identity for role, identity in models.identities(*_ROLES).items()}


def _manifests(store: ArtefactStore) -> Iterator[GenerationManifest]:
    for path in sorted(store.place("generated_instructions").glob(f"*/{MANIFEST}")):
        yield GenerationManifest.from_json(path.read_text(encoding="utf-8"))


def prompt_versions() -> dict[str, str]:
    """The version of every prompt, by its name."""
    return {prompt.name: prompt.version for prompt in all_prompts()}


async def _generate(
    context: dg.AssetExecutionContext,
    models: LanguageModels,
    store: ArtefactStore,
    manifest: GenerationManifest,
    draft: Draft,
) -> None:
    where = CallContext(context.run.run_id, "generated_instructions", manifest.partition_key)
    total, done, accepted = len(manifest.replicas), 0, 0
    async with models.asking(where, *_ROLES) as engine:
        environment, actor, seeds = generation_world(store, manifest, engine)
        with EpisodeTables(draft.folder, context.run.run_id) as tables:
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
    policy = store.of_version("trained_policy", manifest.policy_version)
    checkpoint = load_policy(policy)
    pool, _ = policy_seeds(store.of_version("seed_instructions", policy.manifest["inputs"]["seed_instructions"]))
    library = store.of_version("seed_instructions", manifest.seeds_version)
    seeds = {seed.seed_id: seed.instruction for seed in read_seeds(library)}
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


def _content_of(path: Path) -> str:
    """Hash of a table's rows in their order."""
    rows = (row for batch in pq.ParquetFile(path).iter_batches(AT_ONCE) for row in batch.to_pylist())
    return content_hash("rows", [content_hash({k: v for k, v in row.items() if k not in _NOT_CONTENT}) for row in rows])


def _refuse_silence(facts: dict[str, Any], asked: str, unanswered: int) -> None:
    """A step whose every question failed has made nothing. Raises NothingAnswered."""
    if unanswered and unanswered >= facts[asked]:
        raise NothingAnswered(
            f"none of {unanswered} questions got an answer; the ledger (llm_calls.error_kind, error_detail) says why."
            " Make the models reachable and run the same step again: what was answered is kept"
        )


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
    }


def _cause(row: dict[str, str]) -> str:
    """Why a transition was not accepted."""
    if row["operation"] == "none":
        return "none"
    if row["failure"]:
        return FAILED
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
        manifest = read_manifest(generated)
        check_continuable(manifest, prompt_versions(), _identities(models))
        asyncio.run(_answer(context, models, generated, manifest, draft))
        write_prompts(draft.folder, context.run.run_id)
        facts = _judge(draft)
        _refuse_silence(facts, "samples", facts[UNANSWERED])
        draft.finish(_content_of(draft.folder / "samples.parquet"), facts)

    return make_or_reuse(
        context,
        store,
        config=config,
        inputs={"generated_instructions": generated.data_version},
        make=make,
        show=_show_responses,
        published=models.publish,
    )


async def _answer(
    context: dg.AssetExecutionContext,
    models: LanguageModels,
    generated: Artefact,
    manifest: GenerationManifest,
    draft: Draft,
) -> None:
    where = CallContext(context.run.run_id, "expert_responses", manifest.partition_key)
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
                samples.write([sample.row() | {"run_id": context.run.run_id}])
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


def _judge(draft: Draft) -> dict[str, Any]:
    rows = pq.read_table(draft.folder / "samples.parquet", columns=["accepted", "reason"]).to_pylist()
    refused: dict[str, int] = {}
    for row in rows:
        if not row["accepted"]:
            refused[row["reason"]] = refused.get(row["reason"], 0) + 1
    unanswered = sum(count for reason, count in refused.items() if reason.startswith(NO_ANSWER))
    return {
        "samples": len(rows),
        "kept": len(rows) - sum(refused.values()),
        "refused": refused,
        UNANSWERED: unanswered,
    }


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
