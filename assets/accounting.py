"""Accounting: what was asked and paid, where every sample came from, and the page that shows it all."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from assets.comparison.asset import policy_comparison, read_policy_scores
from assets.generation import episode_plans, generated_instructions, generation_world
from assets.making import OWNERS, AssetConfig, make_or_reuse
from assets.manifests import generated_for, prompt_versions, read_manifest
from assets.policy import trained_policy
from assets.responses import accepted_of, expert_responses
from resources.ledger import LedgerConnection
from resources.stores import Artefact, ArtefactMissing, ArtefactStore, Draft
from teams_dagster.dataset.answers import answer_transitions
from teams_dagster.dataset.yields import PAPER, Yield
from teams_dagster.instructions.operations import Operation
from teams_dagster.ledger.costs import Cost, costs_by, total_cost
from teams_dagster.ledger.writer import Ledger
from teams_dagster.lineage.replay import LedgerAsker, Verification, replay_samples, replay_transitions
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.checkpoint import FeaturesChanged
from teams_dagster.report.baseline import EVOL_INSTRUCT_QUERIES
from teams_dagster.report.markdown import markdown_table
from teams_dagster.report.text import NANO
from teams_dagster.streams import content_hash

LAST_GENERATION = dg.LastPartitionMapping()
COSTS = "costs.json"

GROUPED_BY = ("asset_key", "role", "operation", "provider, model", "asset_key, purpose", "asset_key, role")


@dg.asset(
    group_name="accounting",
    deps=[trained_policy, policy_comparison, dg.AssetDep(expert_responses, partition_mapping=LAST_GENERATION)],
    kinds={"duckdb"},
    owners=OWNERS,
    code_version="2",
    description="What was asked and what it cost, by asset, role, operation and model; refreshes teams.duckdb.",
)
def query_costs(
    context: dg.AssetExecutionContext, config: AssetConfig, store: ArtefactStore, ledger: LedgerConnection
) -> dg.MaterializeResult:
    """Add up the ledger, and publish the read model."""
    with ledger.open() as opened:
        groups = {columns: costs_by(opened, columns.split(", ")) for columns in GROUPED_BY}
        total = total_cost(opened)
    expert = asdict(expert_yield(store)) | {"uniform_accepted_per_rewrite": _uniform_per_rewrite(store)}

    def make(draft: Draft) -> None:
        content = {columns: [_plain(cost) for cost in costs] for columns, costs in groups.items()}
        (draft.folder / COSTS).write_text(json.dumps(content, indent=1), encoding="utf-8")
        draft.finish(content_hash("costs", content, expert), _plain(total) | {"expert": expert})

    inputs = {"ledger": content_hash(_plain(total)), "expert": content_hash(expert)}
    result = make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show_costs)
    report = ledger.refresh()
    context.log.info(f"teams.duckdb: {report.reason} ({report.seconds:.1f} s)")
    return result


def expert_yield(store: ArtefactStore) -> Yield:
    """What became of the expert's answers in all generations."""
    total = Yield(0, 0, 0, 0)
    for partition in store.partitions("expert_responses"):
        responses = store.current("expert_responses", partition)
        asked = generated_for(store, responses).facts["operations"]
        rewrites = {name: counts for name, counts in asked.items() if name != Operation.NONE.value}
        total = Yield(
            total.rewrites + sum(counts["chosen"] for counts in rewrites.values()),
            total.accepted_rewrites + sum(counts["accepted"] for counts in rewrites.values()),
            total.responses + responses.facts["samples"],
            total.kept + responses.facts["kept"],
        )
    return total


def _uniform_per_rewrite(store: ArtefactStore) -> float | None:
    """The share of uniform's rewrites that were accepted on held-out seeds; None where that was not measured."""
    scores = read_policy_scores(store.current("policy_comparison"))
    return next((s.mean for s in scores if (s.policy, s.metric) == (UNIFORM, "accepted_per_rewrite")), None)


def expert_lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Expert answers per accepted pair, uniform's and the paper's beside them."""
    found = dict(facts["expert"])
    share = found.pop("uniform_accepted_per_rewrite")
    measured = Yield(**found)
    uniform = None if share is None else measured.with_rewrites_accepted_at(share)
    lines = (
        ("trained policy, measured in the generations", measured.answers_per_pair),
        ("uniform, by its acceptance on held-out seeds", uniform),
        ("the paper, which keeps everything and never reviews", PAPER),
    )
    return [(name, "-" if value is None else f"{value:.2f}") for name, value in lines]


def _plain(cost: Cost) -> dict[str, Any]:
    return asdict(cost) | {"group": dict(cost.group)}


def dollars(cost: dict[str, Any]) -> str:
    """What a group cost, and how much of it is not known."""
    known = f"${cost['cost_nano_usd'] / NANO:,.4f}"
    return f"{known} and {cost['unpriced']} calls without a price" if cost["unpriced"] else known


def read_costs(artefact: Artefact) -> dict[str, list[dict[str, Any]]]:
    """The account in a `query_costs` artefact, by the columns it is grouped by."""
    return json.loads(artefact.path(COSTS).read_text(encoding="utf-8"))


def _show_costs(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    facts = artefact.facts
    counted = ("asked", "reused", "calls", "ok", "failed", "unresolved", "prompt_tokens", "completion_tokens")
    metadata: dict[str, dg.MetadataValue | int | float | str] = {name: facts[name] for name in counted}
    metadata["cost_usd"] = facts["cost_nano_usd"] / NANO
    metadata["calls_without_price"] = facts["unpriced"]
    metadata["share_of_baseline_queries"] = facts["asked"] / EVOL_INSTRUCT_QUERIES
    metadata["expert_answers_per_accepted_pair"] = dg.MetadataValue.md(
        markdown_table(("expert answers (rewrites and responses) per accepted pair", ""), expert_lines(facts))
    )
    for columns, costs in read_costs(artefact).items():
        rows = [
            (
                ", ".join(filter(None, c["group"].values())) or "-",
                c["asked"],
                c["reused"],
                c["calls"],
                c["failed"],
                dollars(c),
            )
            for c in costs
        ]
        header = (columns, "asked", "reused", "calls sent", "failed", "cost")
        metadata[f"by_{columns.replace(', ', '_and_')}"] = dg.MetadataValue.md(markdown_table(header, rows))
    return metadata


@dg.asset(
    group_name="accounting",
    deps=[
        dg.AssetDep(generated_instructions, partition_mapping=LAST_GENERATION),
        dg.AssetDep(expert_responses, partition_mapping=LAST_GENERATION),
    ],
    kinds={"python"},
    owners=OWNERS,
    code_version="1",
    description="Every sample's chain, replayed from the ledger without a network: prompts, texts, rules, verdicts,"
    " rewards and the policy's probabilities must come out as they were stored.",
)
def sample_lineage(
    context: dg.AssetExecutionContext, config: AssetConfig, store: ArtefactStore, ledger: LedgerConnection
) -> dg.MaterializeResult:
    """Replay every generation. Fails with the first difference."""
    answered = [store.current("expert_responses", partition) for partition in store.partitions("expert_responses")]
    pairs = [(generated_for(store, responses), responses) for responses in answered]
    if not pairs:
        raise ArtefactMissing(f"no generation has answers in {store.root}: materialise expert_responses first")

    def make(draft: Draft) -> None:
        found = Verification()
        with ledger.open() as opened:
            for generated, responses in pairs:
                asyncio.run(_replay(context, store, opened, generated, responses, found))
        if found.differences:
            raise dg.Failure(
                f"{len(found.differences)} stored fields are not what the ledger's answers give; the first:"
                f" {found.differences[0]}",
                metadata={"differences": [str(difference) for difference in found.differences[:20]]},
                allow_retries=False,
            )
        samples = sum(responses.facts["samples"] for _, responses in pairs)
        draft.finish(
            content_hash("lineage", [r.data_version for _, r in pairs]),
            {"samples": samples, "rows_verified": found.verified, "not_verified": found.not_verified},
        )

    inputs = {responses.manifest["partition_key"]: responses.data_version for responses in answered}
    return make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show_lineage)


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
        environment, actor, seeds = generation_world(store, manifest, asker)
    except FeaturesChanged:
        found.skip("made by a policy that reads features of another version", rows)
        return
    await replay_transitions(
        environment,
        actor,
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
