"""Lineage: everything that is stored is compared with its hashes, and every generation replayed from the ledger."""

import asyncio
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from assets.generation import generated_instructions
from assets.making import make_or_reuse
from assets.materialize import DATASET_FIRST, OWNERS, AssetConfig
from assets.responses import expert_responses
from resources.ledger import LedgerConnection
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.markdown import markdown_table
from teams_dagster.dataset.answers import answer_transitions
from teams_dagster.dataset.manifests import generated_for, prompt_versions, read_manifest
from teams_dagster.dataset.playing import episode_plans, generation_world
from teams_dagster.dataset.stored import accepted_of
from teams_dagster.environment.decisions import Actor, Decider
from teams_dagster.ledger.costs import total_cost
from teams_dagster.ledger.writer import Ledger
from teams_dagster.lineage.records import Lineage
from teams_dagster.lineage.replay import LedgerAsker, StoredDecisions, replay_samples, replay_transitions
from teams_dagster.policy.checkpoint import Checkpoint, CheckpointOutdated, FeaturesChanged
from teams_dagster.policy.embedding import EmbeddingUnavailable
from teams_dagster.report.terminal import dollars
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore, Draft
from teams_dagster.store.verification import Verification

LAST_GENERATION = dg.LastPartitionMapping()

SHOWN = 20
"""Differences in the metadata of a failure."""


@dg.asset(
    group_name="accounting",
    deps=[
        dg.AssetDep(generated_instructions, partition_mapping=LAST_GENERATION),
        dg.AssetDep(expert_responses, partition_mapping=LAST_GENERATION),
    ],
    kinds={"python"},
    owners=OWNERS,
    op_tags=DATASET_FIRST,
    code_version="2",
    description="Every sample's chain, replayed from the ledger without a network: prompts, texts, rules, verdicts,"
    " rewards and the policy's probabilities must come out as they were stored. Before that, everything stored is"
    " compared with its hashes and with the chain that seals it.",
)
def sample_lineage(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    ledger: LedgerConnection,
) -> dg.MaterializeResult:
    """Compare everything, then replay every generation. Fails with the first difference."""
    answered = [store.current("expert_responses", partition) for partition in store.partitions("expert_responses")]
    pairs = [(generated_for(store, responses), responses) for responses in answered]
    if not pairs:
        raise ArtefactMissing(f"no generation has answers in {store.root}: materialise expert_responses first")
    report = ledger.refresh(context.instance)
    stored = ledger.verify(context.instance, progress=context.log.info)
    _refuse(stored, "stored fields are not what was written")
    context.log.info(f"{stored.verified:,} rows and files are as they were written")

    def make(draft: Draft) -> None:
        found = Verification()
        with ledger.open() as opened:
            for generated, responses in pairs:
                asyncio.run(_replay(context, store, opened, generated, responses, found))
            spent = total_cost(opened)
        _refuse(found, "stored fields are not what the ledger's answers give")
        context.log.info(f"every sample leads back to its seed; {spent.asked:,} queries so far, {dollars(spent)}")
        samples = sum(responses.facts["samples"] for _, responses in pairs)
        draft.finish(
            content_hash("lineage", [r.data_version for _, r in pairs]),
            {"samples": samples, "rows_verified": found.verified, "not_verified": found.not_verified},
        )

    inputs = {responses.manifest["partition_key"]: responses.data_version for responses in answered}
    result = make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show_lineage)
    sealed = {"chain_head": report.head, "rows_and_files_as_written": stored.verified}
    unsealed = {"not_compared": dg.MetadataValue.json(stored.not_verified)} if stored.not_verified else {}
    return result._replace(metadata={**(result.metadata or {}), **sealed, **unsealed})


def _refuse(found: Verification, what: str) -> None:
    """Raises dg.Failure, not to be retried, where something differs."""
    if found.differing:
        raise dg.Failure(
            f"{found.differing} {what}; the first: {found.differences[0]}",
            metadata={"differences": [str(difference) for difference in found.differences[:SHOWN]]},
            allow_retries=False,
        )


async def _replay(
    context: dg.AssetExecutionContext,
    store: ArtefactStore,
    ledger: Ledger,
    generated: Artefact,
    responses: Artefact,
    found: Verification,
) -> None:
    manifest = read_manifest(generated)
    rows = generated.facts["transitions"] + responses.facts["samples"]
    if dict(manifest.prompt_versions) != prompt_versions():
        found.skip("made with prompts that have changed since", rows)
        return
    asker = LedgerAsker(ledger, manifest.models)
    try:
        environment, checkpoint, seeds = generation_world(store, manifest, asker)
    except CheckpointOutdated:
        found.skip("made by a policy of an earlier version of this code", rows)
        return
    await replay_transitions(
        environment,
        _actor(checkpoint, generated, found),
        episode_plans(manifest, seeds),
        _rows(generated, "transitions"),
        found,
        progress=context.log.info,
    )
    replayed = answer_transitions(
        asker,
        accepted_of(generated),
        dict(manifest.replicas),
        partition_key=manifest.partition_key,
        width=100,
    )
    await replay_samples(replayed, _rows(responses, "samples"), found)
    context.log.info(f"generation {manifest.partition_key}: {found.verified} rows agree with the ledger")


def _actor(checkpoint: Checkpoint, generated: Artefact, found: Verification) -> Actor | Decider:
    """The policy; where it cannot be run here, what it chose, and its probabilities count as not verified."""
    try:
        return checkpoint.actor()
    except FeaturesChanged:
        reason = "probabilities of a policy that reads features of another version"
    except EmbeddingUnavailable:
        reason = "probabilities of a policy whose embedding model is not here"
    found.skip(reason, generated.facts["transitions"])
    return StoredDecisions(_rows(generated, "transitions"))


def _rows(artefact: Artefact, table: str) -> Iterator[dict[str, Any]]:
    for batch in pq.ParquetFile(artefact.path(f"{table}.parquet")).iter_batches(10_000):
        yield from batch.to_pylist()


def _show_lineage(artefact: Artefact) -> dict[str, dg.MetadataValue | int]:
    facts = artefact.facts
    return {
        "samples": facts["samples"],
        "rows_verified": facts["rows_verified"],
        "rows_not_verified": sum(facts["not_verified"].values()),
        "why_not": dg.MetadataValue.json(facts["not_verified"]),
    }


def lineage_metadata(found: Lineage) -> dict[str, dg.MetadataValue | int | str]:
    """A sample's lineage as the metadata of an event."""
    chain = [
        (
            step.step,
            step.operation,
            f"{step.probability:.3f}",
            "accepted" if step.accepted else step.eliminated_by or step.verdict or "not accepted",
            f"{step.reward:.3f}",
            step.text_after or "-",
        )
        for step in found.chain
    ]
    header = ("step", "operation", "probability", "outcome", "reward", "text")
    asked = [(q.purpose, q.role, f"{q.provider}/{q.model}", q.outcome or q.status, q.request_id) for q in found.queries]
    seed, answer = found.seed, found.answer
    start = ("-", "seed", "", "", "", seed.get("text", "-"))
    return {
        "seed": f"{seed['seed_id']}, row {seed['row']} of {seed['source']}" if seed else "not stored",
        "chain": dg.MetadataValue.md(markdown_table(header, [start, *chain])),
        "queries": dg.MetadataValue.md(markdown_table(("for", "role", "model", "outcome", "request"), asked)),
        "answer": dg.MetadataValue.md(
            markdown_table(("kept", "text"), [(answer.reason or "yes", answer.response or "-")] if answer else [])
        ),
        "policy": found.chain[-1].policy_version,
        "datasets": ", ".join(f"{version} ({split})" for version, split in found.datasets) or "none",
        "adapters": ", ".join(f"{kind} {model}" for kind, model, _ in found.adapters) or "none",
        "cost_nano_usd": "not known" if found.cost_nano_usd is None else found.cost_nano_usd,
    }
