"""Checks of the account."""

from collections import Counter

import dagster as dg

from assets.checks.verdicts import needs_output, verdict, warning
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from resources.stores import ArtefactStore
from teams_dagster.completions.protocol import ErrorKind, Outcome
from teams_dagster.ledger.budgets import dollars, recount, spent_by
from teams_dagster.ledger.costs import outcomes_by, total_cost
from teams_dagster.ledger.database import read_snapshot

KNOWN = {"kept", *(outcome.value for outcome in Outcome), *(f"failed: {kind.value}" for kind in ErrorKind)}
"""What can become of a question."""


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


@dg.asset_check(asset="query_costs", description="Asked = kept + each named cause, over the whole ledger.")
def questions_are_explained(ledger: LedgerConnection) -> dg.AssetCheckResult:
    """A question that is neither answered nor failed for a known reason is a hole in the account."""
    with ledger.open() as opened:
        asked = total_cost(opened).asked
        causes: Counter[str] = Counter()
        for questions in outcomes_by(opened, []):
            causes.update({"kept": questions.kept, **questions.causes})
    if asked == 0:
        return warning(False, "not run: nothing was asked yet")
    explained = sum(count for cause, count in causes.items() if cause in KNOWN)
    named = ", ".join(f"{count} {cause}" for cause, count in sorted(causes.items()) if count)
    return verdict(explained == asked, f"{asked} asked: {named}; {asked - explained} unexplained", causes=dict(causes))


@dg.asset_check(asset="query_costs", description="What budgets count is what the calls add up to, and within them.")
def spending_is_within_budget(ledger: LedgerConnection, models: LanguageModels) -> dg.AssetCheckResult:
    """The counter that stops runs must agree with the calls it counts."""
    with ledger.open() as opened, read_snapshot(opened.engine) as connection:
        spent, counted = spent_by(connection), recount(connection)
    if spent != counted:
        return verdict(False, f"budgets count {spent}, the calls add up to {counted}")
    budget = models.settings().budget
    rooms = ((budget.queries, spent.queries), (budget.tokens, spent.tokens), (budget.nano_usd, spent.nano_usd))
    over = any(most is not None and used > most for most, used in rooms)
    said = f"{spent.queries:,} queries, {spent.tokens:,} tokens, {dollars(spent.nano_usd)} may have been billed"
    return warning(not over, f"{said}; {'more than the budget of now' if over else 'no budget is overdrawn'}")


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
