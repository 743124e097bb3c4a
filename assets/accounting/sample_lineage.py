"""Lineage: everything stored is compared with its hashes, and every generation replayed from the ledger, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import dagster as dg

from assets.materialize import DATASET_FIRST, OWNERS, AssetConfig, materialization
from resources.ledger import CHAIN_OUTPUT, LedgerConnection, recorded_outputs
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.text import money
from teams_dagster.ledger.costs import total_cost
from teams_dagster.lineage.kept_replays import manifest_sha256, recorded_replays, replaying_code, write_replays
from teams_dagster.lineage.replay_generation import lineage_preview
from teams_dagster.lineage.replays import Replay, Replayed, replay_all, replays_of
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
    " compared with its hashes and with the chain that seals it. A generation is replayed once, and again when anything"
    " that the replay read is another, or this code is; `force: true` replays all.",
)
def sample_lineage(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    ledger: LedgerConnection,
) -> dg.MaterializeResult:
    """Compare everything, then replay what was not replayed yet, or all by force. Fails with the first difference."""
    if not store.partitions("expert_responses"):
        raise ArtefactMissing(f"no generation has answers in {store.root}: materialise expert_responses first")
    sealed = ledger.refresh(context.instance)
    stored = ledger.verify(context.instance, progress=context.log.info)
    _refuse(stored, "stored fields are not what was written (`teams restore BACKUP` puts outputs back)")
    context.log.info(f"{stored.verified:,} rows and files are as they were written")
    named, planned = recorded_outputs(context.instance), cache(partial(_planned, store))
    with materialization(
        context,
        store,
        config=config,
        inputs=lambda: planned().inputs,
        trusts=lambda output: manifest_sha256(output) in named,
    ) as made:
        if made.draft is not None:
            earlier = {} if config.force else recorded_replays(store, named)
            with ledger.open() as opened:
                replayed = replay_all(store, opened, planned().replays, earlier, progress=context.log.info)
                spent = total_cost(opened)
            _refuse(replayed.found, "stored fields are not what the ledger's answers give")
            cost = money(spent.cost_nano_usd, spent.unpriced)
            context.log.info(f"every sample leads back to its seed; {spent.asked:,} queries so far, {cost}")
            write_replays(made.folder, replayed.kept)
            made.finish(
                content_hash("lineage", [one.data_version for one in planned().answered]), planned().facts(replayed)
            )
    result = made.result(LineageFacts, lineage_preview)
    beside = {"chain_head": sealed.head, "rows_and_files_as_written": stored.verified}
    if made.artefact is not None:
        beside[CHAIN_OUTPUT] = manifest_sha256(made.artefact)
    unsealed = {"not_compared": dg.MetadataValue.json(stored.not_verified)} if stored.not_verified else {}
    return result._replace(metadata={**(result.metadata or {}), **beside, **unsealed})


@dataclass(frozen=True)
class _Planned:
    """What is to be replayed."""

    answered: Sequence[Artefact]
    """The answers to every generation."""
    replays: Sequence[Replay]

    @property
    def inputs(self) -> dict[str, str]:
        """By generation, the version of its answers, and of their scores; and the code that replays them."""
        return {replay.name: replay.version for replay in self.replays} | {"code": replaying_code()}

    def facts(self, replayed: Replayed) -> LineageFacts:
        """What came of it, where no difference was found."""
        return LineageFacts(
            samples=sum(responses.read_facts(ResponseFacts).samples for responses in self.answered),
            rows_verified=replayed.found.verified,
            not_verified=replayed.found.not_verified,
            replayed=replayed.now,
            replayed_earlier=len(replayed.kept) - replayed.now,
            oldest_replay=min(kept.replayed_at for kept in replayed.kept.values()),
        )


def _planned(store: ArtefactStore) -> _Planned:
    """Every generation as it is now."""
    answered = [store.current("expert_responses", partition) for partition in store.partitions("expert_responses")]
    return _Planned(answered, replays_of(store, answered))


def _refuse(found: Verification, what: str) -> None:
    """Raises dg.Failure, not to be retried, where something differs."""
    if found.differing:
        raise dg.Failure(
            f"{found.differing} {what}; the first: {found.differences[0]}",
            metadata={"differences": [str(difference) for difference in found.differences[:SHOWN]]},
            allow_retries=False,
        )
