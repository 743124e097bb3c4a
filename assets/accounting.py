"""Accounting: what was asked and paid."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import dagster as dg

from assets.judging import judged_win_rate
from assets.making import make_or_reuse
from assets.materialize import OWNERS, AssetConfig
from assets.policy.policy_comparison import policy_comparison
from assets.policy.trained_policy import trained_policy
from assets.responses import expert_responses
from resources.ledger import LedgerConnection
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.markdown import as_markdown_image, markdown_table
from teams_dagster.core.operations import Operation
from teams_dagster.core.text import NANO
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.manifests import generated_for
from teams_dagster.dataset.yields import PAPER, Yield
from teams_dagster.evaluation.paper import EVOL_INSTRUCT_QUERIES
from teams_dagster.ledger.costs import Cost, costs_by, total_cost
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.policy.comparison.stored import read_policy_scores
from teams_dagster.report import pictures
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft

LAST_GENERATION = dg.LastPartitionMapping()
COSTS = "costs.json"

GROUPED_BY = (
    "asset_key",
    "role",
    "operation",
    "role, operation",
    "provider, model",
    "asset_key, purpose",
    "asset_key, role",
    "asset_key, partition_key",
)


@dg.asset(
    group_name="accounting",
    deps=[
        trained_policy,
        policy_comparison,
        dg.AssetDep(expert_responses, partition_mapping=LAST_GENERATION),
        judged_win_rate,
    ],
    kinds={"duckdb"},
    owners=OWNERS,
    code_version="3",
    description="What was asked and what it cost, by asset, role, operation and model; refreshes teams.duckdb.",
)
def query_costs(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    ledger: LedgerConnection,
) -> dg.MaterializeResult:
    """Add up the ledger, and publish the read model."""
    with ledger.open() as opened:
        groups = {columns: costs_by(opened, columns.split(", ")) for columns in GROUPED_BY}
        total = total_cost(opened)
    key = TRAINED_ARM.responses
    answered = [store.current(key, partition) for partition in store.partitions(key)]
    expert = asdict(expert_yield(store, answered)) | {"accepted_per_rewrite": _per_rewrite(store)}

    def make(draft: Draft) -> None:
        content = {columns: [_plain(cost) for cost in costs] for columns, costs in groups.items()}
        (draft.folder / COSTS).write_text(json.dumps(content, indent=1), encoding="utf-8")
        draft.finish(content_hash("costs", content, expert), _plain(total) | {"expert": expert})

    inputs = {"ledger": content_hash(_plain(total)), "expert": content_hash(expert)}
    result = make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show_costs)
    report = ledger.refresh(context.instance)
    context.log.info(f"teams.duckdb: {report.reason} ({report.seconds:.1f} s)")
    return result


def expert_yield(store: ArtefactStore, answered: Iterable[Artefact]) -> Yield:
    """What became of the expert's answers in the generations that `answered` are the answers of."""
    total = Yield(0, 0, 0, 0)
    for responses in answered:
        asked = generated_for(store, responses).facts["operations"]
        rewrites = {name: counts for name, counts in asked.items() if name != Operation.NONE.value}
        total = Yield(
            total.rewrites + sum(counts["chosen"] for counts in rewrites.values()),
            total.accepted_rewrites + sum(counts["accepted"] for counts in rewrites.values()),
            total.responses + responses.facts["samples"],
            total.kept + responses.facts["kept"],
        )
    return total


def _per_rewrite(store: ArtefactStore) -> dict[str, float]:
    """The share of each policy's rewrites that were accepted on held-out seeds; of none where nothing was compared."""
    if not store.exists("policy_comparison"):
        return {}
    scores = read_policy_scores(store.current("policy_comparison"))
    return {s.policy: s.mean for s in scores if s.metric == "accepted_per_rewrite" and s.policy in (TRAINED, UNIFORM)}


def expert_lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Expert answers per accepted pair, uniform's and the paper's beside them."""
    found = dict(facts["expert"])
    shares = found.pop("accepted_per_rewrite")
    measured = Yield(**found)
    lines = (
        ("trained policy, measured in the generations", measured.answers_per_pair),
        *(
            (f"{name}, by its rewrites' acceptance on held-out seeds", measured.with_rewrites_accepted_at(share))
            for name, share in sorted(shares.items())
        ),
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
    groups = [Cost(**cost) for cost in read_costs(artefact).get("role, operation", ())]
    picture = pictures.costs_by_role_and_operation(groups)
    metadata["costs"] = dg.MetadataValue.md(as_markdown_image(picture, "Costs by role and operation"))
    return metadata
