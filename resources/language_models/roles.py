"""Which model serves which role, and how a step comes to ask them, within the budgets of project and run."""

import logging
import math
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from resources.language_models.asking import announce, asking_engine, needed_for, stopping
from resources.language_models.elsewhere import ProcessAsking
from resources.language_models.opening import (
    batches_of,
    collect_batches,
    open_as_known,
    open_model,
)
from resources.language_models.probing import (
    MOST_QUERIES,
    NO_RUN,
    NOT_HELD,
    PROBED,
    Held,
    known_ways,
    probe,
)
from resources.language_models.run_budgets import (
    CONTINUES,
    RunBudget,
    refuse_beyond_budget,
    refuse_unbounded,
    rooms_of,
)
from resources.ledger import LedgerConnection
from teams_dagster.core.protocol import ModelIdentity, Role
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.transition import ProbabilitiesMissing, may_give_probabilities
from teams_dagster.ledger.batches import Batch
from teams_dagster.ledger.budgets import Budgets, Limit
from teams_dagster.ledger.costs import outcomes_of_step
from teams_dagster.ledger.database import LedgerLost
from teams_dagster.llm import loop
from teams_dagster.llm.batches import MAX_REQUESTS
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.pricing.budget_parts import (
    POLICY_ASSETS,
    policy_limit,
)
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.pricing.generation_prices import ExpertPriceUnknown, GenerationPrices, generation_prices
from teams_dagster.pricing.prices import load_prices
from teams_dagster.settings import Settings, SettingsError, load_settings

_log = logging.getLogger(__name__)


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
            with stopping():
                loop.run(self._find_out(settings, roles))
        return self.identities(*roles)

    def versions(self, *roles: Role) -> dict[str, str]:
        """What an asset's output depends on, of the models that it asks: by role, the model that answers."""
        return {f"model of {role.value}": str(identity) for role, identity in self.identities(*roles).items()}

    def generation_prices(self) -> GenerationPrices:
        """The prices by which a generation pays for an edit: the expert's and the reviewer's, as they are now.

        Raises ExpertPriceUnknown where one is not known, or where the expert costs nothing.
        """
        settings, identities = self.settings(), self.identities(Role.EXPERT, Role.REVIEWER)
        return generation_prices(
            load_prices(settings.prices),
            identities[Role.EXPERT],
            identities[Role.REVIEWER],
            expert_batched=settings.role(Role.EXPERT).transport == "batch",
            reviewer_batched=settings.role(Role.REVIEWER).transport == "batch",
        )

    def known_generation_prices(self, trained_by: RewardConfig) -> GenerationPrices | None:
        """Those that a policy was `trained_by`, or those of now; None where they are not known, or nothing is paid."""
        if trained_by.dollars is not None:
            return trained_by.dollars.prices
        try:
            return self.generation_prices()
        except (ExpertPriceUnknown, SettingsError):
            return None

    def check_reward(self, reward: RewardConfig) -> None:
        """Raises dagster.Failure, not to be retried, where a soft reward cannot be had of the reviewer."""
        if (missing := self.probabilities_missing(reward)) is not None:
            raise dg.Failure(str(missing), allow_retries=False)

    def probabilities_missing(self, reward: RewardConfig) -> ProbabilitiesMissing | None:
        """Why a soft reward cannot be had; None where it can, or how the reviewer is held is not found out yet."""
        held = known_ways(self.settings(), [Role.REVIEWER])[Role.REVIEWER] if reward.soft else None
        if held is None:
            return None
        reviewer = self.identities(Role.REVIEWER)[Role.REVIEWER]
        told = may_give_probabilities(reviewer) and (reviewer.provider != "openai" or held.logprobs)
        return None if told else ProbabilitiesMissing(reviewer)

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
        """Queries worth having open at once: `direct`, or as many as a batch holds where a role goes there."""
        settings = self.settings()
        return MAX_REQUESTS if any(settings.role(role).transport == "batch" for role in roles) else direct

    def sharing(self, context: CallContext, *roles: Role, processes: int) -> ProcessAsking:
        """How so many processes beside this one ask `roles` in the same step; they share the limits of a model.

        How each model is held is known by now: see `found_out`.
        """
        settings = self.settings()
        held = {role: way or NOT_HELD for role, way in known_ways(settings, roles).items()}
        return ProcessAsking(settings, held, context, self._budgets(settings, context), processes)

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
        """An engine for `roles`. What the queries `expected` will cost is said first.

        `batches` lets roles whose transport is `batch` go there; training asks too many queries in a row for that.
        `named` are budgets that hold besides those of project and run.

        When the block fails, the read model is refreshed: what was paid is shown. Raises dagster.Failure, not to be
        retried, when a budget is missing or used up, or when a model plainly cannot be asked.
        """
        settings = self.settings()
        budgets = self._budgets(settings, context, named)
        batched = [role for role in roles if batches and settings.role(role).transport == "batch"]
        async with self._begun(settings, context, roles, budgets, expected, batched, log) as held:
            models = {role: open_model(settings.role(role), settings, held[role]) for role in roles}
            async with asking_engine(self.ledger, settings, models, context, budgets, batched, log) as engine:
                yield engine

    @asynccontextmanager
    async def asking_elsewhere(
        self,
        context: CallContext,
        *roles: Role,
        expected: Sequence[QueryForecast],
        log: Callable[[str], None],
        processes: int,
    ) -> AsyncIterator[ProcessAsking]:
        """How so many processes beside this one ask `roles`; they share what may be under way at once and a minute.

        Otherwise as `asking`, without batches.
        """
        settings = self.settings()
        budgets = self._budgets(settings, context)
        async with self._begun(settings, context, roles, budgets, expected, (), log) as held:
            models = [open_model(settings.role(role), settings, held[role]) for role in roles]
            with self.ledger.open() as ledger:
                await collect_batches(ledger, models, context, load_prices(settings.prices))
            yield ProcessAsking(settings, held, context, budgets, processes)

    @asynccontextmanager
    async def _begun(
        self,
        settings: Settings,
        context: CallContext,
        roles: Sequence[Role],
        budgets: Budgets,
        expected: Sequence[QueryForecast],
        batched: Collection[Role],
        log: Callable[[str], None],
    ) -> AsyncIterator[dict[Role, Held]]:
        """How each role's model is held, once what comes was said; what ends the block is a failure of the step."""
        with stopping():
            try:
                identities = self.identities(*roles)
                with self.ledger.open() as ledger:
                    needed = needed_for(ledger, settings, identities, expected, batched)
                    announce(ledger, settings, identities, budgets, needed, log)
                    if context.asset_key in POLICY_ASSETS and settings.budget.bounded:
                        refuse_beyond_budget(ledger, context, needed, settings)
                yield await self._find_out(settings, roles)
            except LedgerLost:
                raise
            except BaseException:
                self._publish_after_failure()
                raise

    async def _find_out(self, settings: Settings, roles: Collection[Role]) -> dict[Role, Held]:
        """How each role's model is held; what nobody knows is found out, on the ledger and within the budgets.

        Raises BudgetMissing, BudgetExhausted, PriceUnknown, EndpointBroken, QueryFailed, NotHonoured.
        """
        for role in [role for role, held in known_ways(settings, roles).items() if held is None]:
            if known_ways(settings, [role])[role] is not None:
                continue  # another role's model at the same endpoint
            budgets = self.budget.beside(settings.budget, self._first_run())
            line = f"estimate: at most {MOST_QUERIES} short queries to begin with"
            refuse_unbounded(settings, [role], budgets, line)
            within = self.get_resource_context()
            where = CallContext(within.run.run_id if within.run else NO_RUN, PROBED)
            say = within.log.info if within.log else _log.info
            with self.ledger.open() as ledger:
                opened = partial(open_as_known, settings.role(role), settings, ledger)
                await probe(role, settings, opened, ledger, where, budgets, say)
        return {role: held or NOT_HELD for role, held in known_ways(settings, roles).items()}

    def check_budget(self, context: CallContext, *roles: Role, expected: Sequence[QueryForecast]) -> None:
        """Raises dagster.Failure, not to be retried, where the project's budget likely cannot pay the `expected`."""
        settings = self.settings()
        if not settings.budget.bounded:
            return
        with stopping(), self.ledger.open() as ledger:
            refuse_beyond_budget(
                ledger, context, needed_for(ledger, settings, self.identities(*roles), expected), settings
            )

    def times_affordable(self, context: CallContext, *roles: Role, expected: Sequence[QueryForecast]) -> float:
        """How many times over what is left of the budgets likely pays the `expected`; infinite where nothing bounds."""
        settings = self.settings()
        budgets, identities = self._budgets(settings, context), self.identities(*roles)
        with self.ledger.open() as ledger:
            rooms = [
                (room, needed_for(ledger, settings, identities, [kind for kind in expected if kind.role in asking]))
                for room, asking in rooms_of(ledger, budgets, context.run_id, roles)
            ]
        return min((room.times(needed) for room, needed in rooms), default=math.inf)

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
