"""Budgets: what a scope may spend at most, and what it may have spent so far.

A call is reserved at the most it can cost before it is sent, and settled at what it did cost. What may have been billed
counts: a call whose fate is not known keeps its reservation. Overshoot is 0 as long as servers keep to `max_tokens`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import sqlalchemy as sa

from teams_dagster.core.protocol import ErrorKind
from teams_dagster.core.text import dollars
from teams_dagster.ledger.schema import attempts, results, spending

PROJECT = "project"
"""The scope of everything that is ever asked over this ledger."""

POLICY_SCOPE = "policy"
"""The scope of what training and comparing the policy ask: a part of the project's budget bounds it."""

Unit = Literal["queries", "tokens", "nano_usd"]


def run_scope(run_id: str, role: str | None = None) -> str:
    """The scope of one run, or of one role in it."""
    return f"run {run_id}" if role is None else f"run {run_id}, {role}"


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be spent; None is no bound."""

    queries: int | None = None
    tokens: int | None = None
    nano_usd: int | None = None

    @property
    def bounded(self) -> bool:
        """Whether anything is bounded at all."""
        return (self.queries, self.tokens, self.nano_usd) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Limit:
    """A scope's budget."""

    scope: str
    budget: Budget


@dataclass(frozen=True)
class Budgets:
    """Everything that bounds a run."""

    project: Budget = Budget()
    run: Budget = Budget()
    roles: Mapping[str, Budget] = field(default_factory=dict[str, Budget])
    """Of one role in this run."""
    continues: str | None = None
    """The run that this one continues, if it does: they share what bounds a run."""
    named: tuple[Limit, ...] = ()
    """Budgets of a name of their own, a preflight's say: they bound beside the others, and stand in for none."""

    def cover(self, role: str) -> bool:
        """Whether anything bounds what `role` may spend."""
        return any(limit.budget.bounded for limit in self.limits("", role) if limit not in self.named)

    def limits(self, run_id: str, role: str) -> tuple[Limit, ...]:
        """What a query of `role` in `run_id` counts in: the project always, and every scope that is bounded."""
        run_id = self.continues or run_id
        limits = [Limit(PROJECT, self.project)]
        if self.run.bounded:
            limits.append(Limit(run_scope(run_id), self.run))
        if role in self.roles and self.roles[role].bounded:
            limits.append(Limit(run_scope(run_id, role), self.roles[role]))
        return (*limits, *self.named)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a scope may have been billed for, or an amount to add to it."""

    queries: int = 0
    tokens: int = 0
    nano_usd: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.queries + other.queries, self.tokens + other.tokens, self.nano_usd + other.nano_usd)

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.queries - other.queries, self.tokens - other.tokens, self.nano_usd - other.nano_usd)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The most that one call can cost, and every scope it counts in."""

    limits: tuple[Limit, ...]
    tokens: int
    nano_usd: int | None
    """None where no price is known: no scope may bound dollars then."""

    @property
    def amount(self) -> Spent:
        """What is reserved."""
        return Spent(1, self.tokens, self.nano_usd or 0)

    def billed(self, tokens: int | None, nano_usd: int | None) -> Spent:
        """What the call did cost; what is not known stays as reserved."""
        return Spent(
            1, self.tokens if tokens is None else tokens, (self.nano_usd or 0) if nano_usd is None else nano_usd
        )


@dataclass(frozen=True, slots=True)
class Exhausted:
    """A reservation that does not fit into a budget."""

    scope: str
    unit: Unit
    limit: int
    spent: int
    needed: int


def shortage(reservation: Reservation, spent: dict[str, Spent]) -> Exhausted | None:
    """The first budget that has no room for `reservation`, given what each scope has spent."""
    for limit in reservation.limits:
        budget, so_far, needed = limit.budget, spent.get(limit.scope, Spent()), reservation.amount
        rooms: tuple[tuple[Unit, int | None, int, int], ...] = (
            ("queries", budget.queries, so_far.queries, needed.queries),
            ("tokens", budget.tokens, so_far.tokens, needed.tokens),
            ("nano_usd", budget.nano_usd, so_far.nano_usd, needed.nano_usd),
        )
        for unit, most, used, wanted in rooms:
            if most is not None and used + wanted > most:
                return Exhausted(limit.scope, unit, most, used, wanted)
    return None


class BudgetExhausted(Exception):
    """The next query does not fit into a budget any more. What is paid is kept."""

    def __init__(self, exhausted: Exhausted) -> None:
        self.exhausted = exhausted
        show = dollars if exhausted.unit == "nano_usd" else "{:,}".format
        unit = "" if exhausted.unit == "nano_usd" else f" {exhausted.unit}"
        project = exhausted.scope == PROJECT
        variable = {"queries": "TEAMS_BUDGET_QUERIES", "tokens": "TEAMS_BUDGET_TOKENS", "nano_usd": "TEAMS_BUDGET_USD"}
        raising = variable[exhausted.unit] if project else "the budget in the run's configuration"
        if exhausted.scope == POLICY_SCOPE:
            raising = f"{variable[exhausted.unit]} or TEAMS_BUDGET_POLICY_SHARE (the part of it that is not kept)"
        super().__init__(
            f"the budget of the {exhausted.scope} is used up: {show(exhausted.spent)} of {show(exhausted.limit)}{unit}"
            f" may have been billed, and the next query may cost {show(exhausted.needed)}."
            f" What is paid is kept: raise {raising} and run the same step again, it goes on from here"
        )


def spent_by(connection: sa.Connection, scope: str = PROJECT) -> Spent:
    """What `scope` may have spent, as budgets count it."""
    row = connection.execute(
        sa.select(spending.c.queries, spending.c.tokens, spending.c.nano_usd).where(spending.c.scope == scope)
    ).first()
    return Spent() if row is None else Spent(*row)


def recount(connection: sa.Connection) -> Spent:
    """What the project may have spent, added up from its calls: equals `spent_by` in any one snapshot."""
    kinds = [kind.value for kind in ErrorKind if not kind.perhaps_billed]
    free = sa.and_(results.c.status == "failed", results.c.error_kind.in_(kinds))
    paid = results.c.status == "ok"
    tokens = results.c.prompt_tokens + results.c.completion_tokens
    row = connection.execute(
        sa.select(
            sa.func.count(),
            _sum(
                sa.case((paid, sa.func.coalesce(tokens, attempts.c.reserved_tokens)), else_=attempts.c.reserved_tokens)
            ),
            _sum(
                sa.case(
                    (paid, sa.func.coalesce(results.c.cost_nano_usd, attempts.c.reserved_nano_usd)),
                    else_=attempts.c.reserved_nano_usd,
                )
            ),
        )
        .select_from(attempts.outerjoin(results, attempts.c.request_id == results.c.request_id))
        .where(sa.or_(results.c.status.is_(None), sa.not_(free)))
    ).one()
    return Spent(*(int(value) for value in row))


def _sum(amount: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(amount), 0)
