"""What was asked and paid."""

import dagster as dg

from assets.materialize import OWNERS, AssetConfig, materialization
from resources.ledger import LedgerConnection
from teams_dagster.report.costs import expert_facts, read_account, write_account
from teams_dagster.report.preview_accounting import costs_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.accounting import CostFacts


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
    with ledger.open() as opened:
        account = read_account(opened, store)
    expert = expert_facts(store)
    with materialization(context, store, config=config, inputs=account.versions(expert)) as made:
        if made.draft is not None:
            made.finish(*write_account(made.folder, account, expert))
    refreshed = ledger.refresh(context.instance)
    context.log.info(f"teams.duckdb: {refreshed.reason} ({refreshed.seconds:.1f} s)")
    return made.result(CostFacts, costs_preview)
