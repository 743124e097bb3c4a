"""What one run may spend, and the refusals of what nothing bounds or no budget pays."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

import dagster as dg
from pydantic import Field

from teams_dagster.core.protocol import Role
from teams_dagster.core.text import NANO
from teams_dagster.ledger.budgets import POLICY_SCOPE, Budget, Budgets
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.pricing.budget_parts import POLICY_ASSETS, Room, policy_limit, refuse_too_small
from teams_dagster.pricing.forecast import Estimate
from teams_dagster.settings import Settings

CONTINUES = "teams/continues"
"""Run tag: the id of the run that a run goes on from; the first one, however many came between."""


class RoleBudget(dg.Config):
    """The most that may be spent; empty is no bound."""

    queries: int | None = Field(default=None, ge=0, description="Queries sent.")
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


class BudgetMissing(Exception):
    """A provider would be asked without any bound on what that may cost."""

    def __init__(self, roles: Sequence[Role], line: str) -> None:
        names = ", ".join(role.value for role in roles)
        super().__init__(
            f"{names} would be asked at a provider, and nothing bounds what that may cost. {line}. Set TEAMS_BUDGET_USD"
            " (or TEAMS_BUDGET_QUERIES, TEAMS_BUDGET_TOKENS) to the most that this project may ever spend, or give this"
            " run a budget (run configuration: resources.models.config.budget)"
        )


def refuse_beyond_budget(ledger: Ledger, context: CallContext, needed: Estimate, settings: Settings) -> None:
    """Raises BudgetTooSmall for a step of the policy or of a generation that the project's budget likely cannot pay."""
    project, share = settings.budget, Fraction(settings.budget_policy_share)
    if context.asset_key in POLICY_ASSETS:
        room = Room(policy_limit(project, share).budget, ledger.spent(POLICY_SCOPE), share)
        advice = "train less (`iterations` of trained_policy), or make the dataset without training (job dataset)"
        refuse_too_small(needed, room, advice)
    else:
        refuse_too_small(
            needed,
            Room(project, ledger.spent()),
            "begin the generation with fewer `seeds`, or a smaller `target_samples`",
        )


def rooms_of(
    ledger: Ledger, budgets: Budgets, run_id: str, roles: Sequence[Role]
) -> Iterator[tuple[Room, Sequence[Role]]]:
    """What is left of each budget that bounds a run, and whose queries count in it."""
    scopes: dict[str, tuple[Budget, list[Role]]] = {}
    for role in roles:
        for limit in budgets.limits(run_id, role.value):
            if limit.budget.bounded:
                scopes.setdefault(limit.scope, (limit.budget, []))[1].append(role)
    for scope, (budget, counted) in scopes.items():
        yield Room(budget, ledger.spent(scope)), counted


def refuse_unbounded(settings: Settings, roles: Iterable[Role], budgets: Budgets, line: str) -> None:
    """Raises BudgetMissing where nothing bounds what asking these roles may cost."""
    unbounded = [role for role in roles if settings.role(role).leaves_machine and not budgets.cover(role.value)]
    if unbounded:
        raise BudgetMissing(unbounded, line)
