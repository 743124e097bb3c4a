"""Which model serves which role, and the engine that asks them on the ledger, within the budgets of project and run."""

import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from resources.language_models.embedded import EmbeddedAsking
from resources.language_models.probing import (
    MOST_QUERIES,
    NO_RUN,
    NOT_HELD,
    PROBED,
    Held,
    NotFoundOut,
    NotHonoured,
    known_ways,
    probe,
)
from resources.language_models.readable import readable
from resources.ledger import LedgerConnection
from teams_dagster.core.protocol import CompletionError, LanguageModel, ModelIdentity, Request, Role
from teams_dagster.core.text import NANO
from teams_dagster.instructions.requests import reply_limit
from teams_dagster.ledger.batches import Batch, open_batches
from teams_dagster.ledger.budgets import POLICY_SCOPE, Budget, BudgetExhausted, Budgets, Limit
from teams_dagster.ledger.costs import outcomes_of_step
from teams_dagster.ledger.database import LedgerLost
from teams_dagster.ledger.traits import record_trait, traits_of
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm import loop
from teams_dagster.llm.batches import MAX_REQUESTS, BatchEndpoint
from teams_dagster.llm.batching import BatchesUnderWay, Batching, BatchPace, BatchRefused
from teams_dagster.llm.budget_gate import PriceUnknown
from teams_dagster.llm.circuit import EndpointBroken
from teams_dagster.llm.context import CallContext, Tallies
from teams_dagster.llm.endpoint import RateCeiling
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.trial import NothingUsable
from teams_dagster.pricing.budget_parts import (
    POLICY_ASSETS,
    BudgetTooSmall,
    Room,
    policy_limit,
    refuse_too_small,
)
from teams_dagster.pricing.forecast import Estimate, QueryForecast, estimate
from teams_dagster.pricing.prices import PriceTable, load_prices
from teams_dagster.settings import WRITING_PROVIDERS, RoleSettings, Settings, load_settings


class RoleBudget(dg.Config):
    """The most that may be spent; empty is no bound."""

    queries: int | None = Field(default=None, ge=0, description="Questions sent.")
    tokens: int | None = Field(default=None, ge=0, description="Tokens, of prompts and completions together.")
    usd: float | None = Field(default=None, ge=0, description="Dollars.")

    def bounds(self) -> Budget:
        """The same for the ledger."""
        return Budget(self.queries, self.tokens, None if self.usd is None else int(Decimal(str(self.usd)) * NANO))


class RunBudget(RoleBudget):
    """What one run may spend, and each role in it. The project's own bounds (TEAMS_BUDGET_*) hold besides."""

    expert: RoleBudget = RoleBudget()
    reviewer: RoleBudget = RoleBudget()
    instructor: RoleBudget = RoleBudget()
    guide: RoleBudget = RoleBudget()
    judge: RoleBudget = RoleBudget()

    def beside(self, project: Budget, continues: str | None = None) -> Budgets:
        """Everything that bounds a run, which may continue another."""
        roles = {role.value: getattr(self, role.value).bounds() for role in Role}
        return Budgets(project, self.bounds(), roles, continues)


_log = logging.getLogger(__name__)


class BudgetMissing(Exception):
    """A provider would be asked without any bound on what that may cost."""

    def __init__(self, roles: Sequence[Role], line: str) -> None:
        names = ", ".join(role.value for role in roles)
        super().__init__(
            f"{names} would be asked at a provider, and nothing bounds what that may cost. {line}. Set TEAMS_BUDGET_USD"
            " (or TEAMS_BUDGET_QUERIES, TEAMS_BUDGET_TOKENS) to the most that this project may ever spend, or give this"
            " run a budget (run configuration: resources.models.config.budget)"
        )


CONTINUES = "teams/continues"
"""The tag of a run that continues another one, with that run's id."""

STOPS = (
    BudgetMissing,
    BudgetTooSmall,
    BudgetExhausted,
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
def _stops() -> Iterator[None]:
    """What ends a step, as a failure that Dagster does not retry."""
    try:
        yield
    except STOPS as stopped:
        raise dg.Failure(str(stopped), allow_retries=False) from stopped


class LanguageModels(dg.ConfigurableResource):
    """The models that the environment names, opened only when a step asks them.

    Keys stay in the environment and never reach Dagster's storage.
    """

    root: str = Field(default="", description="The project's folder; empty: found from where the process runs.")
    ledger: dg.ResourceDependency[LedgerConnection]
    budget: RunBudget = RunBudget()

    def settings(self) -> Settings:
        """The environment's settings, read anew: a long-lived process sees what was changed."""
        return load_settings(Path(self.root) if self.root else None)

    def identities(self, *roles: Role) -> dict[Role, ModelIdentity]:
        """Which model serves each role. Raises SettingsError for a role that needs configuring."""
        settings = self.settings()
        held = known_ways(settings, roles)
        return {role: open_model(settings.role(role), settings, held[role] or NOT_HELD).identity for role in roles}

    def found_out(self, *roles: Role) -> dict[Role, ModelIdentity]:
        """`identities`, once it is known how each model is held to its replies: an endpoint that is new is asked.

        Raises SettingsError; dagster.Failure, not to be retried, where it cannot be found out.
        """
        settings = self.settings()
        if None in known_ways(settings, roles).values():
            with _stops():
                loop.run(self._find_out(settings, roles))
        return self.identities(*roles)

    def versions(self, *roles: Role) -> dict[str, str]:
        """What an asset's output depends on, of the models that it asks: by role, the model that answers."""
        return {f"model of {role.value}": str(identity) for role, identity in self.identities(*roles).items()}

    def publish(self) -> None:
        """Bring the read model up to date."""
        instance = self.get_resource_context().instance
        if instance is None:
            raise RuntimeError("outside Dagster there is no event log to record the chain's head in")
        self.ledger.refresh(instance)

    def outcomes(self, context: CallContext) -> dict[str, dict[str, Any]]:
        """By purpose, what became of the queries that a step asked: `asked`, `kept`, and the `causes` of the others."""
        with self.ledger.open() as ledger:
            return outcomes_of_step(ledger, context.run_id, context.asset_key, context.partition_key)

    def at_once(self, *roles: Role, direct: int) -> int:
        """Questions worth having open at once: `direct`, or as many as a batch holds where a role goes there."""
        settings = self.settings()
        return MAX_REQUESTS if any(settings.role(role).transport == "batch" for role in roles) else direct

    def elsewhere(self, context: CallContext, *roles: Role) -> EmbeddedAsking | None:
        """How processes beside this one ask `roles` in the same step; None where they must not.

        They may ask the embedded rules. How fast, how much at once and whether a model is asked at all (limits a
        minute, `max_in_flight`, the circuit) is decided in each process by itself, so several would ask a model faster
        than it allows; and one is as quick as any endpoint. Local weights would be loaded in each of them.
        """
        settings = self.settings()
        served = {role: settings.role(role) for role in roles}
        if any(role.provider != "offline" or role.rpm or role.tpm for role in served.values()):
            return None
        return EmbeddedAsking(
            models={role: named.model for role, named in served.items()},
            ledger_url=settings.ledger_url,
            context=context,
            budgets=self._budgets(settings, context),
            prices=settings.prices,
            max_in_flight=settings.max_in_flight,
            own_prompts=settings.prompts,
        )

    async def has_ended(self, batch: Batch) -> bool:
        """Whether the answers of a batch can be collected, as the provider says. Raises CompletionError.

        One whose model is not configured any more has not, as far as anybody can tell.
        """
        settings = self.settings()
        model = open_model(settings.role(Role(batch.role)), settings)
        if not batch.is_of(model.identity):
            return False
        endpoint = batches_of(model)
        try:
            remote_id = batch.remote_id or await endpoint.find(batch.batch_id)
            return remote_id is None or not (await endpoint.state(remote_id)).running
        finally:
            await endpoint.close()

    @asynccontextmanager
    async def asking(
        self,
        context: CallContext,
        *roles: Role,
        expected: Sequence[QueryForecast],
        log: Callable[[str], None],
        batches: bool = False,
        named: Sequence[Limit] = (),
    ) -> AsyncIterator[Engine]:
        """An engine for `roles`. What the questions `expected` will cost is said first.

        `batches` lets roles whose transport is `batch` go there; training asks too many questions in a row for that.
        `named` are budgets that hold besides those of project and run.

        When the block fails, the read model is refreshed: what was paid is shown. Raises dagster.Failure, not to be
        retried, when a budget is missing or used up, or when a model plainly cannot be asked.
        """
        settings = self.settings()
        models: dict[Role, LanguageModel] = {}
        budgets = self._budgets(settings, context, named)
        batched = [role for role in roles if batches and settings.role(role).transport == "batch"]
        try:
            with self.ledger.open() as ledger:
                identities = {role: open_model(settings.role(role), settings).identity for role in roles}
                self._announce(ledger, settings, identities, batched, budgets, expected, log)
            held = await self._find_out(settings, roles)
            models = {role: open_model(settings.role(role), settings, held[role]) for role in roles}
            with self.ledger.open() as ledger:
                if context.asset_key in POLICY_ASSETS and settings.budget.bounded:
                    _refuse_too_small(ledger, context, self._needed(ledger, settings, models, expected), settings)
                _go_on_from_traits(ledger, models.values())
                direct = [model for role, model in models.items() if role not in batched]
                await _collect_batches(ledger, direct, context, load_prices(settings.prices))
                engine = Engine(
                    models,
                    ledger,
                    context,
                    load_prices(settings.prices),
                    max_in_flight=settings.max_in_flight,
                    budgets=budgets,
                    ceilings={role: RateCeiling(settings.role(role).rpm, settings.role(role).tpm) for role in roles},
                    batches={role: batches_of(models[role]) for role in batched},
                    batch_pace=BatchPace(settings.batch_wait_s, settings.batch_poll_s),
                    reply_limits={
                        role: reply_limit_of(settings.role(role))
                        for role, model in models.items()
                        if model.identity.provider in WRITING_PROVIDERS
                    },
                    readable=readable,
                    say=log,
                )
                try:
                    yield engine
                finally:
                    await engine.close()
        except LedgerLost as lost:
            raise dg.Failure(str(lost), allow_retries=False) from lost
        except STOPS as stopped:
            self._publish_after_failure()
            raise dg.Failure(str(stopped), allow_retries=False) from stopped
        except BaseException:
            self._publish_after_failure()
            raise
        finally:
            for model in models.values():
                await model.close()

    def _announce(
        self,
        ledger: Ledger,
        settings: Settings,
        identities: dict[Role, ModelIdentity],
        batched: Collection[Role],
        budgets: Budgets,
        expected: Sequence[QueryForecast],
        log: Callable[[str], None],
    ) -> None:
        """Say what is to be expected, and refuse to go to a provider without any bound."""
        forecasts = as_configured(expected, settings)
        line = str(estimate(ledger, forecasts, identities, load_prices(settings.prices), batched=batched))
        log(line)
        if (shared := settings.shared_line(identities)) is not None:
            log(shared)
        _refuse_unbounded(settings, identities, budgets, line)

    async def _find_out(self, settings: Settings, roles: Collection[Role]) -> dict[Role, Held]:
        """How each role's model is held; what nobody knows is found out, on the ledger and within the budgets.

        Raises BudgetMissing, BudgetExhausted, PriceUnknown, EndpointBroken, QueryFailed, NotHonoured.
        """
        for role in [role for role, held in known_ways(settings, roles).items() if held is None]:
            if known_ways(settings, [role])[role] is not None:
                continue  # another role's model at the same endpoint
            budgets = self.budget.beside(settings.budget, self._first_run())
            line = f"estimate: at most {MOST_QUERIES} short queries to begin with"
            _refuse_unbounded(settings, [role], budgets, line)
            run = self.get_resource_context().run
            where = CallContext(run.run_id if run else NO_RUN, PROBED)
            with self.ledger.open() as ledger:
                opened = partial(open_model, settings.role(role), settings)
                await probe(role, settings, opened, ledger, where, budgets)
        return {role: held or NOT_HELD for role, held in known_ways(settings, roles).items()}

    def check_budget(self, context: CallContext, *roles: Role, expected: Sequence[QueryForecast]) -> None:
        """Raises dagster.Failure, not to be retried, where the project's budget likely cannot pay the `expected`."""
        settings = self.settings()
        if not settings.budget.bounded:
            return
        models = {role: open_model(settings.role(role), settings) for role in roles}
        try:
            with self.ledger.open() as ledger:
                _refuse_too_small(ledger, context, self._needed(ledger, settings, models, expected), settings)
        except (BudgetTooSmall, LedgerLost) as refused:
            raise dg.Failure(str(refused), allow_retries=False) from refused

    def _needed(
        self,
        ledger: Ledger,
        settings: Settings,
        models: Mapping[Role, LanguageModel],
        expected: Sequence[QueryForecast],
    ) -> Estimate:
        identities = {role: model.identity for role, model in models.items()}
        return estimate(ledger, as_configured(expected, settings), identities, load_prices(settings.prices))

    def _budgets(self, settings: Settings, context: CallContext, named: Sequence[Limit] = ()) -> Budgets:
        """Everything that bounds a step: its part of the project's budget too, where it is one of the policy's."""
        if context.asset_key in POLICY_ASSETS and settings.budget.bounded:
            named = [*named, policy_limit(settings.budget, Fraction(settings.budget_policy_share))]
        return replace(self.budget.beside(settings.budget, self._first_run()), named=tuple(named))

    def _first_run(self) -> str | None:
        """The run that this one continues, if it does."""
        run = self.get_resource_context().run
        return None if run is None else run.tags.get(CONTINUES)

    def _publish_after_failure(self) -> None:
        """Refresh the read model without hiding the failure that is on its way."""
        try:
            self.publish()
        except Exception:
            _log.exception("the read model could not be refreshed; the next step does it")


def _refuse_too_small(ledger: Ledger, context: CallContext, needed: Estimate, settings: Settings) -> None:
    """Raises BudgetTooSmall for a step of the policy or of a generation that the project's budget likely cannot pay."""
    project, share = settings.budget, Fraction(settings.budget_policy_share)
    if context.asset_key in POLICY_ASSETS:
        room = Room(policy_limit(project, share).budget, ledger.spent(POLICY_SCOPE), share)
        advice = "train less (`iterations` of trained_policy), or make the dataset without training (job dataset)"
        refuse_too_small(needed, room, advice)
    else:
        refuse_too_small(needed, Room(project, ledger.spent()), "begin the generation with fewer `seeds`")


def _refuse_unbounded(settings: Settings, roles: Iterable[Role], budgets: Budgets, line: str) -> None:
    """Raises BudgetMissing where nothing bounds what asking these roles may cost."""
    unbounded = [role for role in roles if settings.role(role).leaves_machine and not budgets.cover(role.value)]
    if unbounded:
        raise BudgetMissing(unbounded, line)


def open_model(role: RoleSettings, settings: Settings, held: Held = NOT_HELD) -> LanguageModel:
    """The connection that `role` names, its model held to its replies as `held` says.

    Nothing is sent, and no weights are loaded, before the first question.
    """
    if role.provider == "offline":
        from resources.language_models.offline.model import OfflineModel

        return OfflineModel(model=role.model)
    if role.provider == "transformers":
        from resources.language_models.local_transformers import LocalTransformersModel

        return LocalTransformersModel(role.model, max_tokens=role.max_tokens, structured=held.structured)
    if role.provider == "embedding":
        from resources.language_models.embedding.reviewer import EmbeddingReviewer

        return EmbeddingReviewer(role.model)
    from resources.language_models.openai_compatible import OpenAICompatibleModel

    key = role.api_key.get_secret_value() if role.api_key else None
    return OpenAICompatibleModel(
        role.model,
        base_url=role.base_url,
        api_key=key,
        timeout_s=role.timeout_s,
        omit=role.omit,
        max_tokens=role.max_tokens,
        extra=role.extra,
        allow_http=settings.allow_http,
        structured=held.structured,
        logprobs=held.logprobs,
    )


def reply_limit_of(role: RoleSettings) -> Callable[[Request], int]:
    """How many tokens a reply of `role` may take: what is configured, or what each query can need."""
    configured = role.max_tokens
    return reply_limit if configured is None else lambda _: configured


def as_configured(expected: Sequence[QueryForecast], settings: Settings) -> list[QueryForecast]:
    """Forecasts with the limits on replies that roles' settings state."""
    return [replace(kind, max_tokens=settings.role(kind.role).max_tokens or kind.max_tokens) for kind in expected]


def _go_on_from_traits(ledger: Ledger, models: Collection[LanguageModel]) -> None:
    """Let each endpoint's connection know what was found out about it before, and write down what it finds out."""
    from resources.language_models.openai_compatible import OpenAICompatibleModel

    for model in models:
        if isinstance(model, OpenAICompatibleModel):
            identity = model.identity
            model.dialect.keep(traits_of(ledger.engine, identity), partial(record_trait, ledger.engine, identity))


async def _collect_batches(
    ledger: Ledger, models: Sequence[LanguageModel], context: CallContext, prices: PriceTable
) -> None:
    """Put what has ended of the batches of models that are asked directly now on the ledger."""
    waiting = open_batches(ledger)
    for model in models:
        if any(batch.is_of(model.identity) for batch in waiting):
            batching = Batching(batches_of(model), ledger, context, prices, Tallies(), lambda: False, BatchPace())
            try:
                await batching.adopt()
            except CompletionError as error:
                _log.warning("the batches of %s cannot be collected now: %s", model.identity, error)
            finally:
                await batching.close()


def batches_of(model: LanguageModel) -> BatchEndpoint:
    """The batch endpoint of a model that has one."""
    from resources.language_models.openai_batches import OpenAIBatches
    from resources.language_models.openai_compatible import OpenAICompatibleModel

    assert isinstance(model, OpenAICompatibleModel), "settings allow the batch transport for this provider alone"
    return OpenAIBatches(model)
