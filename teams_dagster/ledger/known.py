"""What is on the ledger of the queries that a transaction is about: answers, claims, attempts, spending."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from teams_dagster.core.protocol import Completion, Outcome, Usage
from teams_dagster.ledger import schema
from teams_dagster.ledger.budgets import Spent
from teams_dagster.ledger.owners import is_dead
from teams_dagster.ledger.records import StoredAnswer


@dataclass(frozen=True, slots=True)
class Known:
    """What was found; nothing of it where nothing was."""

    stored: Mapping[str, StoredAnswer] = field(default_factory=dict[str, StoredAnswer])
    """The answer of each query that has one."""
    claimed: Mapping[str, str] = field(default_factory=dict[str, str])
    """The living owner of each claimed query."""
    begun: Set[str] = frozenset()
    """The request ids whose attempt an earlier transaction wrote though it seemed to fail: its connection broke before
    the database could say that it was done."""
    ended: Set[str] = frozenset()
    """The request ids that have a result."""
    spent: Mapping[str, Spent] = field(default_factory=dict[str, Spent])
    """What each scope may have spent."""

    @property
    def of_queries(self) -> bool:
        """Whether anything is known of the queries themselves."""
        return bool(self.stored or self.claimed or self.begun or self.ended)


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What a transaction is about."""

    answers: Collection[str]
    """The keys of the queries whose answers are to be known,"""
    claims: Collection[str]
    """those of them whose claims are,"""
    results: Collection[str]
    """and the request ids of attempts that are to get a result."""


def anything_known(connection: sa.Connection, of: LookedUp) -> bool:
    """Whether there is an answer, a claim or a result among them: one look, where as a rule there is nothing."""
    wanted = {"answers": list(of.answers), "claims": list(of.claims), "results": list(of.results)}
    return bool(connection.execute(_anything(connection.dialect.name), wanted).scalar_one())


def stored_answers(connection: sa.Connection, request_keys: Collection[str]) -> dict[str, StoredAnswer]:
    """The answers on the ledger to the queries `request_keys`, by key."""
    found: dict[str, StoredAnswer] = {}
    for row in connection.execute(_answers(connection.dialect.name), {"keys": sorted(request_keys)}):
        key, request_id, text, finish_reason, outcome, reasoning, probabilities, cost, *tokens = row
        known = None if probabilities is None else json.loads(probabilities)
        completion = Completion(
            text, finish_reason, Outcome(outcome), Usage(*tokens), reasoning=reasoning, probabilities=known
        )
        found[key] = StoredAnswer(request_id, completion, cost)
    return found


def live_claims(connection: sa.Connection, request_keys: Collection[str], now: int) -> dict[str, str]:
    """The living owner of each of `request_keys` that is being asked."""
    found = connection.execute(_claims(connection.dialect.name), {"keys": sorted(request_keys)})
    return {key: owner for key, owner, known, lease in found if known is not None and not is_dead(owner, lease, now)}


def known_ids(connection: sa.Connection, table: sa.Table, request_ids: Collection[str]) -> set[str]:
    """Those of `request_ids` that `table` (attempts or results) has a row of."""
    statement = _ids(table, connection.dialect.name)
    return set(connection.execute(statement, {"ids": sorted(request_ids)}).scalars())


def spending_of(connection: sa.Connection, scopes: Collection[str]) -> dict[str, Spent]:
    """What each of `scopes` may have spent."""
    rows = connection.execute(_spending(connection.dialect.name), {"scopes": sorted(scopes)})
    return {scope: Spent(queries, tokens, nano_usd) for scope, queries, tokens, nano_usd in rows}


def among(column: sa.Column[str], name: str, dialect: str) -> sa.ColumnElement[bool]:
    """Whether `column` is one of the strings in the parameter `name`, a list of any length: the statement stays one."""
    if dialect == "postgresql":
        return column == sa.any_(sa.bindparam(name, type_=postgresql.ARRAY(sa.Text)))
    listed = sa.func.json_each(sa.bindparam(name, type_=sa.JSON)).table_valued("value")
    return column.in_(sa.select(listed.c.value))


@cache
def _anything(dialect: str) -> sa.Select[bool]:
    answers, claims, results = schema.answers.c, schema.claims.c, schema.results.c
    return sa.select(
        sa.or_(
            sa.exists().where(among(answers.request_key, "answers", dialect)),
            sa.exists().where(among(claims.request_key, "claims", dialect)),
            sa.exists().where(among(results.request_id, "results", dialect)),
        )
    )


@cache
def _answers(dialect: str) -> sa.Select[*tuple[Any, ...]]:
    answers, results = schema.answers, schema.results
    return (
        sa.select(
            answers.c.request_key,
            answers.c.request_id,
            answers.c.text,
            answers.c.finish_reason,
            answers.c.outcome,
            answers.c.reasoning,
            answers.c.probabilities,
            results.c.cost_nano_usd,
            *(answers.c[name] for name in schema.USAGE),
        )
        .select_from(answers.outerjoin(results, answers.c.request_id == results.c.request_id))
        .where(among(answers.c.request_key, "keys", dialect))
    )


@cache
def _claims(dialect: str) -> sa.Select[str, str, str | None, int | None]:
    claims, owners = schema.claims, schema.owners
    return (
        sa.select(claims.c.request_key, claims.c.owner, owners.c.owner, owners.c.lease_until)
        .select_from(claims.outerjoin(owners, claims.c.owner == owners.c.owner))
        .where(among(claims.c.request_key, "keys", dialect))
    )


@cache
def _ids(table: sa.Table, dialect: str) -> sa.Select[str]:
    return sa.select(table.c.request_id).where(among(table.c.request_id, "ids", dialect))


@cache
def _spending(dialect: str) -> sa.Select[str, int, int, int]:
    spending = schema.spending.c
    columns = (spending.scope, spending.queries, spending.tokens, spending.nano_usd)
    return sa.select(*columns).where(among(spending.scope, "scopes", dialect))
