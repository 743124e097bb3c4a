"""What one run may spend: run configuration, so that it can be given in the Launchpad."""

from decimal import Decimal

import dagster as dg
from pydantic import Field

from teams_dagster.core.protocol import Role
from teams_dagster.core.text import NANO
from teams_dagster.ledger.budgets import Budget, Budgets


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
