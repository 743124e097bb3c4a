"""The engine of a step as its settings say, in the step's process or in one of several beside it."""

from collections.abc import Callable, Collection, Mapping

from resources.language_models.opening import batches_of, go_on_from_traits, reply_limit_of
from resources.language_models.readable import fault
from teams_dagster.core.protocol import LanguageModel, Role
from teams_dagster.ledger.budgets import Budgets
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.batching import BatchPace
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.endpoint import RateCeiling
from teams_dagster.llm.engine import Engine
from teams_dagster.pricing.prices import load_prices
from teams_dagster.role_settings import WRITING_PROVIDERS
from teams_dagster.settings import Settings


def step_engine(
    ledger: Ledger,
    settings: Settings,
    models: Mapping[Role, LanguageModel],
    context: CallContext,
    budgets: Budgets,
    *,
    batched: Collection[Role] = (),
    processes: int = 1,
    say: Callable[[str], None],
) -> Engine:
    """An engine that asks `models`, going on from what the ledger knows of their endpoints.

    Args:
        batched: Roles that go through the provider's batches.
        processes: Engines that ask beside each other, this one included: each has its part of what may be under way
            at once, and of the limits a minute.
        say: Told what slows the step down.
    """
    go_on_from_traits(ledger, models.values())
    return Engine(
        models,
        ledger,
        context,
        load_prices(settings.prices),
        max_in_flight=max(1, settings.max_in_flight // processes),
        budgets=budgets,
        ceilings={role: _part_of_ceiling(settings, role, processes) for role in models},
        batches={role: batches_of(models[role]) for role in batched},
        batch_pace=BatchPace(settings.batch_wait_s, settings.batch_poll_s),
        reply_limits={
            role: reply_limit_of(settings.role(role))
            for role, model in models.items()
            if model.identity.provider in WRITING_PROVIDERS
        },
        fault=fault,
        say=say,
    )


def _part_of_ceiling(settings: Settings, role: Role, processes: int) -> RateCeiling:
    named = settings.role(role)
    return RateCeiling(named.rpm and named.rpm / processes, named.tpm and named.tpm / processes)
