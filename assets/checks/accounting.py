"""Checks of the account."""

import dagster as dg

from assets.checks.verdicts import needs_output, verdict, warning
from resources.ledger import LedgerConnection
from resources.stores import ArtefactStore
from teams_dagster.ledger.costs import total_cost


@dg.asset_check(asset="query_costs", description="Every call ended as ok or failed; the others are counted and named.")
def calls_are_resolved(ledger: LedgerConnection) -> dg.AssetCheckResult:
    """A call whose process was killed may have been paid: it is reported, never dropped."""
    with ledger.open() as opened:
        cost = total_cost(opened)
    if cost.calls == 0:
        return warning(False, "not run: nothing was asked yet")
    return warning(
        cost.unresolved == 0,
        f"{cost.calls} calls: {cost.ok} ok, {cost.failed} failed, {cost.unresolved} unresolved (sent, and their process"
        " ended before an answer was written; perhaps paid)",
        unresolved=cost.unresolved,
    )


@dg.asset_check(asset="query_costs", description="Every billed call has a price.")
def calls_have_a_price(ledger: LedgerConnection) -> dg.AssetCheckResult:
    """A cost that is not known is NULL, never a guess."""
    with ledger.open() as opened:
        cost = total_cost(opened)
    if cost.ok == 0:
        return warning(False, "not run: no call was billed yet")
    return warning(cost.unpriced == 0, f"{cost.unpriced} of {cost.ok} billed calls have no known price")


@dg.asset_check(asset="sample_lineage", description="Every sample was replayed from the ledger.")
@needs_output
def every_sample_is_verified(store: ArtefactStore) -> dg.AssetCheckResult:
    """What could not be replayed is counted, never passed."""
    facts = store.current("sample_lineage").facts
    unverified = sum(facts["not_verified"].values())
    finding = (
        f"{facts['rows_verified']} rows of {facts['samples']} samples agree with the ledger, {unverified} unverified"
    )
    if unverified:
        return warning(False, finding, why_not=facts["not_verified"])
    return verdict(facts["rows_verified"] > 0, finding)
