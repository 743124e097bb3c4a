"""A step that asks: what is said and refused before its first query, the engine, and what ends it for good."""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

import dagster as dg

from resources.language_models.engines import step_engine
from resources.language_models.opening import as_configured, collect_batches, written_folders
from resources.language_models.probing import NotFoundOut, NotHonoured
from resources.language_models.run_budgets import BudgetMissing, refuse_unbounded
from resources.ledger import LedgerConnection
from teams_dagster.core.protocol import LanguageModel, ModelIdentity, Role
from teams_dagster.ledger.budgets import BudgetExhausted, Budgets
from teams_dagster.ledger.database import LedgerLost
from teams_dagster.ledger.room import NoRoom, bytes_needed, clock_behind, require_room
from teams_dagster.ledger.traits import record_shared_role
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.batching import BatchesUnderWay, BatchRefused
from teams_dagster.llm.budget_gate import PriceUnknown
from teams_dagster.llm.circuit import EndpointBroken
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.unusable import NothingUsable
from teams_dagster.pricing.budget_parts import BudgetTooSmall
from teams_dagster.pricing.forecast import Estimate, QueryForecast, estimate
from teams_dagster.pricing.prices import load_prices
from teams_dagster.settings import Settings

STOPS = (
    BudgetMissing,
    BudgetTooSmall,
    BudgetExhausted,
    NoRoom,
    PriceUnknown,
    EndpointBroken,
    NothingUsable,
    BatchesUnderWay,
    BatchRefused,
    NotFoundOut,
    NotHonoured,
)
"""What ends a step for a reason that trying again at once does not change."""


@contextmanager
def stopping() -> Iterator[None]:
    """What ends a step, as a failure that Dagster does not retry."""
    try:
        yield
    except (*STOPS, LedgerLost) as stopped:
        raise dg.Failure(str(stopped), allow_retries=False) from stopped


def needed_for(
    ledger: Ledger,
    settings: Settings,
    identities: Mapping[Role, ModelIdentity],
    expected: Sequence[QueryForecast],
    batched: Collection[Role] = (),
) -> Estimate:
    """What the queries `expected` of these models will likely take; those of the roles `batched` go in batches."""
    return estimate(
        ledger, as_configured(expected, settings), identities, load_prices(settings.prices), batched=batched
    )


def announce(
    ledger: Ledger,
    settings: Settings,
    identities: Mapping[Role, ModelIdentity],
    budgets: Budgets,
    needed: Estimate,
    say: Callable[[str], None],
) -> None:
    """Say what is to be expected; refuse to go to a provider without any bound, or to fill the disk.

    Raises BudgetMissing, NoRoom.
    """
    say(str(needed))
    if (shared := settings.shared_line(identities)) is not None:
        say(shared)
    for role in settings.shared_roles(identities):
        record_shared_role(ledger.engine, identities[role].server, role.value)
    refuse_unbounded(settings, identities, budgets, str(needed))
    require_room(written_folders(settings), bytes_needed(needed.sent.likely, needed.tokens.likely))
    if behind := clock_behind(ledger.engine):
        say(behind)


@asynccontextmanager
async def asking_engine(
    connection: LedgerConnection,
    settings: Settings,
    models: Mapping[Role, LanguageModel],
    context: CallContext,
    budgets: Budgets,
    batched: Collection[Role],
    say: Callable[[str], None],
) -> AsyncIterator[Engine]:
    """The engine that asks `models`, which are closed with it."""
    try:
        with connection.open() as ledger:
            direct = [model for role, model in models.items() if role not in batched]
            await collect_batches(ledger, direct, context, load_prices(settings.prices))
            engine = step_engine(ledger, settings, models, context, budgets, batched=batched, say=say)
            try:
                yield engine
            finally:
                await engine.close()
    finally:
        for model in models.values():
            await model.close()
