"""Lineage: everything that is stored is compared with its hashes, and every generation replayed from the ledger."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import dagster as dg

from assets.materialize import DATASET_FIRST, OWNERS, AssetConfig, materialization
from resources.ledger import LedgerConnection
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.text import money
from teams_dagster.dataset.manifests import generated_for
from teams_dagster.dataset.scoring import SCORES, scores_of
from teams_dagster.ledger.costs import total_cost
from teams_dagster.lineage.replay_generation import lineage_preview, replay_generation
from teams_dagster.lineage.replay_scores import replay_scores
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore
from teams_dagster.store.facts.accounting import LineageFacts
from teams_dagster.store.facts.dataset import ResponseFacts
from teams_dagster.store.integrity import Verification

LAST_GENERATION = dg.LastPartitionMapping()

SHOWN = 20
"""Differences in the metadata of a failure."""


@dg.asset(
    group_name="accounting",
    deps=[
        dg.AssetDep("generated_instructions", partition_mapping=LAST_GENERATION),
        dg.AssetDep("expert_responses", partition_mapping=LAST_GENERATION),
        dg.AssetDep("pair_scores", partition_mapping=LAST_GENERATION),
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
    if not store.partitions("expert_responses"):
        raise ArtefactMissing(f"no generation has answers in {store.root}: materialise expert_responses first")
    sealed = ledger.refresh(context.instance)
    stored = ledger.verify(context.instance, progress=context.log.info)
    _refuse(stored, "stored fields are not what was written (`teams restore BACKUP` puts outputs back)")
    context.log.info(f"{stored.verified:,} rows and files are as they were written")
    replayed = cache(partial(_replayed, store))
    with materialization(context, store, config=config, inputs=lambda: replayed().inputs) as made:
        if made.draft is not None:
            found, answered = Verification(), replayed().answered
            with ledger.open() as opened:
                for responses in answered:
                    generated = generated_for(store, responses)
                    asyncio.run(
                        replay_generation(store, opened, generated, responses, found, progress=context.log.info)
                    )
                for responses, scores in replayed().scored:
                    asyncio.run(replay_scores(opened, responses, scores, found))
                spent = total_cost(opened)
            _refuse(found, "stored fields are not what the ledger's answers give")
            cost = money(spent.cost_nano_usd, spent.unpriced)
            context.log.info(f"every sample leads back to its seed; {spent.asked:,} queries so far, {cost}")
            facts = LineageFacts(
                samples=sum(responses.read_facts(ResponseFacts).samples for responses in answered),
                rows_verified=found.verified,
                not_verified=found.not_verified,
            )
            made.finish(content_hash("lineage", [responses.data_version for responses in answered]), facts)
    result = made.result(LineageFacts, lineage_preview)
    beside = {"chain_head": sealed.head, "rows_and_files_as_written": stored.verified}
    unsealed = {"not_compared": dg.MetadataValue.json(stored.not_verified)} if stored.not_verified else {}
    return result._replace(metadata={**(result.metadata or {}), **beside, **unsealed})


@dataclass(frozen=True)
class _Replayed:
    """What is replayed."""

    answered: Sequence[Artefact]
    """The answers to every generation."""
    scored: Sequence[tuple[Artefact, Artefact]]
    """Answers with their scores, where they have some."""

    @property
    def inputs(self) -> dict[str, str]:
        """By generation, the version of its answers, and of their scores."""
        return {responses.manifest["partition_key"]: responses.data_version for responses in self.answered} | {
            f"{SCORES} {scores.manifest['partition_key']}": scores.data_version for _, scores in self.scored
        }


def _replayed(store: ArtefactStore) -> _Replayed:
    """Every generation as it is now."""
    answered = [store.current("expert_responses", partition) for partition in store.partitions("expert_responses")]
    scored = [(responses, scores) for responses in answered if (scores := scores_of(store, responses)) is not None]
    return _Replayed(answered, scored)


def _refuse(found: Verification, what: str) -> None:
    """Raises dg.Failure, not to be retried, where something differs."""
    if found.differing:
        raise dg.Failure(
            f"{found.differing} {what}; the first: {found.differences[0]}",
            metadata={"differences": [str(difference) for difference in found.differences[:SHOWN]]},
            allow_retries=False,
        )
