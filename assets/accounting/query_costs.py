"""What was asked and paid."""

from functools import cache

import dagster as dg

from assets.materialize import OWNERS, AssetConfig, materialization
from resources.ledger import LedgerConnection
from teams_dagster.report.costs import Account, expert_facts, read_account, write_account
from teams_dagster.report.preview_accounting import costs_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.accounting import CostFacts, ExpertFacts


@dg.asset(
    group_name="accounting",
    deps=[
        "trained_policy",
        "policy_comparison",
        dg.AssetDep("expert_responses", partition_mapping=dg.LastPartitionMapping()),
        "judged_win_rate",
    ],
    kinds={"duckdb"},
    owners=OWNERS,
    code_version="4",
    description="What was asked and what it cost, by asset, role, operation and model, and dollars per kept pair by"
    " operation and step; refreshes teams.duckdb.",
)
def query_costs(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    ledger: LedgerConnection,
) -> dg.MaterializeResult:
    """Add up the ledger, and publish the read model."""

    @cache
    def account() -> tuple[Account, ExpertFacts]:
        with ledger.open() as opened:
            return read_account(opened, store), expert_facts(store)

    def inputs() -> dict[str, str]:
        added, expert = account()
        return added.versions(expert)

    with materialization(context, store, config=config, inputs=inputs) as made:
        if made.draft is not None:
            made.finish(*write_account(made.folder, *account()))
    refreshed = ledger.refresh(context.instance)
    context.log.info(f"teams.duckdb: {refreshed.reason} ({refreshed.seconds:.1f} s)")
    return made.result(CostFacts, costs_preview)
