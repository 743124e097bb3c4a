"""Replaying what the store holds of a generation, with its own policy, seeds and models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from teams_dagster.core.metadata import Details
from teams_dagster.dataset.answers import answer_transitions
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.dataset.manifests import read_manifest
from teams_dagster.dataset.playing import episode_plans, generation_actor, generation_policy, generation_world
from teams_dagster.dataset.responses import answering_of, kept_reasoning
from teams_dagster.dataset.stored import accepted_of, answers_asked
from teams_dagster.environment.decisions import Actor, Decider
from teams_dagster.instructions.prompts import Prompt, stored_prompts
from teams_dagster.ledger.writer import Ledger
from teams_dagster.lineage.replay import (
    OTHER_FEATURES,
    LedgerAsker,
    NearlyAsStored,
    StoredDecisions,
    replay_samples,
    replay_transitions,
)
from teams_dagster.policy.checkpoint import Checkpoint, CheckpointOutdated, FeaturesChanged
from teams_dagster.policy.encoder import EmbeddingUnavailable
from teams_dagster.policy.reader.reading import BaseUnavailable
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.accounting import LineageFacts
from teams_dagster.store.facts.dataset import GenerationFacts, ResponseFacts
from teams_dagster.store.integrity import Verification
from teams_dagster.store.parquet import iterate_rows


async def replay_generation(
    store: ArtefactStore,
    ledger: Ledger,
    generated: Artefact,
    responses: Artefact,
    into: Verification,
    *,
    progress: Callable[[str], None],
) -> None:
    """Replay a generation from the ledger, and compare every row of it with the stored one.

    Args:
        generated: The artefact of its instructions.
        responses: The artefact of its answers.
        into: Where rows that agree, differ or cannot be replayed are counted.
        progress: Called with a line for people, now and then.
    """
    with stored_prompts(_prompts(generated, responses)):
        manifest = read_manifest(generated)
        client = LedgerAsker(ledger, manifest.models)
        try:
            environment, checkpoint, seeds = generation_world(store, manifest, client)
        except CheckpointOutdated:
            into.skip("made by a policy of an earlier version of this code", _rows_of(generated, responses))
            return
        first = next(_rows(generated, "transitions"), None)
        if first is not None and environment.pool.version != first["pool_version"]:
            into.skip("its words were told apart by an earlier version of this code", _rows_of(generated, responses))
            return
        await replay_transitions(
            environment,
            _actor(manifest, checkpoint, generated, into),
            islice(episode_plans(manifest, seeds), _played(manifest, generated)),
            _rows(generated, "transitions"),
            into,
            progress=progress,
        )
        answering = answering_of(generated, answers_asked(responses), kept_reasoning(responses))
        replayed = answer_transitions(client, accepted_of(generated), answering, width=100)
        await replay_samples(replayed, _rows(responses, "samples"), into, answers=_given(responses))
        progress(f"generation {manifest.partition_key}: {into.verified} rows agree with the ledger")


def outputs_read(store: ArtefactStore, generated: Artefact, responses: Artefact) -> list[Artefact]:
    """What `replay_generation` reads of the store: answers, instructions, policy, the seeds of both, answers first.

    Raises ArtefactMissing.
    """
    manifest = read_manifest(generated)
    policy = generation_policy(store, manifest)
    trained_on = policy.manifest["inputs"].get("seed_instructions") if policy else None
    versions = [version for version in dict.fromkeys((manifest.seeds_version, trained_on)) if version]
    seeds = [store.of_version("seed_instructions", version) for version in versions]
    return [responses, generated, *seeds, *([policy] if policy else [])]


def lineage_preview(artefact: Artefact) -> Details:
    """How many rows of a `sample_lineage` artefact could not be replayed."""
    return {"rows_not_verified": artefact.read_facts(LineageFacts).rows_not_verified}


def _prompts(generated: Artefact, responses: Artefact) -> dict[str, Prompt]:
    """The prompts that a generation was made with, by name."""
    versions = set(read_manifest(generated).prompt_versions)
    stored = [row for artefact in (generated, responses) for row in _rows(artefact, "prompt_templates")]
    prompts = [Prompt(row["name"], row["prompt_version"], row["text"]) for row in stored]
    return {prompt.name: prompt for prompt in prompts if (prompt.name, prompt.version) in versions}


def _actor(
    manifest: GenerationManifest, checkpoint: Checkpoint | None, generated: Artefact, into: Verification
) -> Actor | Decider:
    """The policy; where it cannot be run here, what it chose, and its probabilities count as not verified."""
    try:
        actor = generation_actor(manifest, checkpoint)
    except FeaturesChanged:
        reason = OTHER_FEATURES
    except EmbeddingUnavailable:
        reason = "probabilities of a policy whose embedding model is not here"
    except BaseUnavailable:
        reason = "probabilities of a policy whose language model is not here"
    else:
        prompted = checkpoint is not None and checkpoint.config.reads_prompts
        return NearlyAsStored(actor, _rows(generated, "transitions")) if prompted else actor
    into.skip(reason, generated.read_facts(GenerationFacts).transitions)
    return StoredDecisions(_rows(generated, "transitions"))


def _played(manifest: GenerationManifest, generated: Artefact) -> int | None:
    """How many of its episodes were played: all of them, but on the way to a target."""
    if manifest.target_samples is None:
        return None
    return generated.read_facts(GenerationFacts).asking["episodes"]


def _given(responses: Artefact) -> Iterator[dict[str, Any]]:
    """The rows of all answers, where several were asked for to each instruction."""
    return iter(()) if answers_asked(responses) == 1 else _rows(responses, "sample_answers")


def _rows_of(generated: Artefact, responses: Artefact) -> int:
    return generated.read_facts(GenerationFacts).transitions + responses.read_facts(ResponseFacts).samples


def _rows(artefact: Artefact, table: str) -> Iterator[dict[str, Any]]:
    return iterate_rows(artefact.path(f"{table}.parquet"), 10_000)
