"""Checks of the account."""

from collections import Counter
from pathlib import Path

import dagster as dg
import duckdb
import sqlalchemy as sa

from assets.check_results import not_applicable, not_run, verdict, warning
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from teams_dagster.core.protocol import ErrorKind, Outcome
from teams_dagster.core.text import dollars
from teams_dagster.ledger.budgets import recount, spent_by
from teams_dagster.ledger.costs import outcomes_by, total_cost
from teams_dagster.ledger.database import read_snapshot
from teams_dagster.ledger.schema import attempts, batches, results
from teams_dagster.store.comparing import SourcesMoved
from teams_dagster.store.publishing import NotNow
from teams_dagster.store.read_model import UP_TO_DATE

KNOWN = {"kept", *(outcome.value for outcome in Outcome), *(f"failed: {kind.value}" for kind in ErrorKind)}
"""What can become of a query."""

MOST_USED = 0.9
"""Above this share of a budget it is said that it comes to its end."""

_IN_OPEN_BATCHES = (
    sa.select(sa.func.count())
    .select_from(
        attempts.join(batches, attempts.c.batch_id == batches.c.batch_id).outerjoin(
            results, attempts.c.request_id == results.c.request_id
        )
    )
    .where(results.c.request_id.is_(None), batches.c.status.in_(("preparing", "submitted")))
)
"""Attempts whose answers a provider still owes."""


@dg.asset_check(
    asset="query_costs",
    description="Every attempt ended as ok or failed; the others are counted and named.",
    metadata={"severity": "warning", "remedy": "These attempts may have been paid: compare with the provider's bill."},
)
def calls_are_resolved(ledger: LedgerConnection) -> dg.AssetCheckResult:
    """An attempt whose process was killed may have been paid: it is reported, never dropped."""
    with ledger.open() as opened:
        cost = total_cost(opened)
        with opened.engine.connect() as connection:
            in_batches = connection.execute(_IN_OPEN_BATCHES).scalar_one()
    if cost.calls == 0:
        return not_run("nothing was asked yet")
    return warning(
        cost.unresolved == 0,
        f"{cost.calls} attempts: {cost.ok} ok, {cost.failed} failed, {cost.unresolved} unresolved (in flight, in an"
        f" open batch, or their process ended before an answer was written; perhaps paid), {in_batches} of them in an"
        " open batch",
        unresolved=cost.unresolved,
        in_open_batches=in_batches,
    )


@dg.asset_check(
    asset="query_costs",
    description="Every billed attempt has a price.",
    metadata={"severity": "warning", "remedy": "Give the model a price (`TEAMS_PRICES`)."},
)
def calls_have_a_price(ledger: LedgerConnection) -> dg.AssetCheckResult:
    """A cost that is not known is NULL, never a guess."""
    with ledger.open() as opened:
        cost = total_cost(opened)
    if cost.ok == 0:
        return not_run("no attempt was billed yet")
    return warning(cost.unpriced == 0, f"{cost.unpriced} of {cost.ok} billed attempts have no known price")


@dg.asset_check(
    asset="query_costs",
    description="Asked = kept + each named cause, over the whole ledger.",
    metadata={"severity": "error", "remedy": "Keep the ledger database and report it."},
)
def questions_are_explained(ledger: LedgerConnection) -> dg.AssetCheckResult:
    """A query that is neither answered nor failed for a known reason is a hole in the account."""
    causes: Counter[str] = Counter()
    with ledger.open() as opened:
        for queries in outcomes_by(opened, []):  # one statement: a run that goes on meanwhile changes nothing here
            causes.update({"kept": queries.kept, **queries.causes})
    asked = causes.total()
    if asked == 0:
        return not_run("nothing was asked yet")
    explained = sum(count for cause, count in causes.items() if cause in KNOWN)
    named = ", ".join(f"{count} {cause}" for cause, count in sorted(causes.items()) if count)
    return verdict(explained == asked, f"{asked} asked: {named}; {asked - explained} unexplained", causes=dict(causes))


@dg.asset_check(
    asset="query_costs",
    description="Every promise of the ledger is kept: the view `ledger_audit`.",
    metadata={"severity": "error", "remedy": "The finding names the promise: keep the ledger database and report it."},
)
def ledger_keeps_its_promises(context: dg.AssetCheckExecutionContext, ledger: LedgerConnection) -> dg.AssetCheckResult:
    """What must be true of the account at any time, over every query, attempt and answer."""
    report = ledger.refresh(context.instance)
    if not report.published and report.reason != UP_TO_DATE:
        return not_run(report.reason)
    try:
        audit, asked = ledger.read(context.instance, _audit)
    except (duckdb.IOException, duckdb.ConnectionException, NotNow) as error:
        return not_run(f"{ledger.read_model} cannot be read at the moment: {error}")
    if asked == 0:
        return not_run("nothing was asked yet")
    broken = {name: violations for name, violations in audit if violations}
    said = "; ".join(f"{name}: {violations} violations" for name, violations in broken.items())
    return verdict(not broken, f"{len(audit) - len(broken)} of {len(audit)} promises kept; {said or 'no violation'}")


def _audit(path: Path) -> tuple[list[tuple[str, int]], int]:
    """How often each promise is broken, and how many queries there are."""
    with duckdb.connect(path, read_only=True) as connection:
        audit = connection.execute(
            "select name, violations from ledger_audit where kind = 'promise' order by name"
        ).fetchall()
        return audit, connection.execute("select count(*) from llm_requests").fetchall()[0][0]


@dg.asset_check(
    asset="query_costs",
    description="What budgets count is what the attempts add up to, and within them.",
    metadata={
        "severity": "warning",
        "remedy": "Raise the budget or stop. It is an error where the counter and the attempts differ.",
    },
)
def spending_is_within_budget(ledger: LedgerConnection, models: LanguageModels) -> dg.AssetCheckResult:
    """The counter that stops runs must agree with the attempts it counts."""
    with ledger.open(whole=False) as opened, read_snapshot(opened.engine) as connection:
        spent, counted = spent_by(connection), recount(connection)
    if spent != counted:
        return verdict(False, f"budgets count {spent}, the attempts add up to {counted}")
    budget = models.settings().budget
    rooms = ((budget.queries, spent.queries), (budget.tokens, spent.tokens), (budget.nano_usd, spent.nano_usd))
    over = any(most is not None and used > most for most, used in rooms)
    said = f"{spent.queries:,} queries, {spent.tokens:,} tokens, {dollars(spent.nano_usd)} may have been billed"
    return warning(not over, f"{said}; {'more than the budget of now' if over else 'no budget is overdrawn'}")


@dg.asset_check(
    asset="query_costs",
    description=f"At least {1 - MOST_USED:.0%} of each of the project's budgets is left.",
    metadata={
        "severity": "warning",
        "remedy": "Raise the budget (`TEAMS_BUDGET_*`) before the next generation, or switch its schedule off.",
    },
)
def budget_has_room(ledger: LedgerConnection, models: LanguageModels) -> dg.AssetCheckResult:
    """A budget that ends in the middle of a generation keeps what is paid, and leaves the week unfinished."""
    budget = models.settings().budget
    with ledger.open() as opened:
        spent = opened.spent()
    bounds = {
        "queries": (budget.queries, spent.queries),
        "tokens": (budget.tokens, spent.tokens),
        "dollars": (budget.nano_usd, spent.nano_usd),
    }
    used = {unit: count / most if most else 1.0 for unit, (most, count) in bounds.items() if most is not None}
    if not used:
        return not_applicable("no budget bounds this project (TEAMS_BUDGET_USD, _QUERIES, _TOKENS)")
    said = ", ".join(f"{share:.0%} of the {unit}" for unit, share in used.items())
    return warning(max(used.values()) <= MOST_USED, f"{said} that the budget allows may have been billed", **used)


@dg.asset_check(
    asset="query_costs",
    description="teams.duckdb holds what it would hold if it were made anew from its sources.",
    metadata={"severity": "error", "remedy": "Delete `teams.duckdb`: it is made anew."},
)
def read_model_tells_what_is_stored(
    context: dg.AssetCheckExecutionContext, ledger: LedgerConnection
) -> dg.AssetCheckResult:
    """People read it and can write to it: a row that somebody added, changed or took away is counted."""
    report = ledger.refresh(context.instance)
    if not report.published and report.reason != UP_TO_DATE:
        return not_run(report.reason)
    try:
        differing = ledger.compare_read_model(context.instance)
    except (SourcesMoved, NotNow) as reason:
        return not_run(str(reason))
    said = "; ".join(
        f"{found.name}: {found.added} rows that should not be there, {found.lacking} that are missing"
        for found in differing
    )
    if said:
        return verdict(False, f"{said}. Delete {ledger.read_model}: it is made anew")
    return verdict(True, "every table is what its sources give")
