"""The rows of one transaction, collected before they are inserted table by table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from teams_dagster.core.protocol import Completion, Outcome, Usage
from teams_dagster.core.row_hash import ROW_HASH, row_hash
from teams_dagster.ledger import schema
from teams_dagster.ledger.budgets import Reservation, Spent
from teams_dagster.ledger.owners import holder_of, is_dead
from teams_dagster.ledger.records import Attempt, Place, Question, Result, StoredAnswer, Use

LOOK_UP_AT_ONCE = 500
"""Keys of one query: databases bound the number of its parameters."""


class Rows:
    """Rows to insert, and what is known of answers, claims and spending, these rows included."""

    def __init__(
        self,
        owner: str,
        process: str,
        *,
        stored: dict[str, StoredAnswer],
        claimed: dict[str, str],
        spent: dict[str, Spent],
        begun: set[str],
        ended: set[str],
    ) -> None:
        """`claimed` holds the living owner of each claimed key.

        `begun` and `ended` are the request ids whose attempt, or result, an earlier transaction wrote though it seemed
        to fail: its connection broke before the database could say that it was done.
        """
        self.stored, self.claimed, self.spent = stored, claimed, spent
        self.begun, self.ended = begun, ended
        self._owner, self._process = owner, process
        self._by_table: dict[str, list[dict[str, Any]]] = {table.name: [] for table in schema.HISTORY}
        self._claims: dict[str, str] = {}
        self._released: dict[str, str] = {}
        self._added: dict[str, Spent] = {}
        self.needs_lease = False
        """Whether this process holds something now that a lease must keep."""

    def insert(self, connection: sa.Connection) -> None:
        """Write everything collected. A query asked before and a use counted before are left as they are."""
        dialect = connection.dialect.name
        for table in schema.HISTORY:
            values = self._by_table[table.name]
            if values:
                for row in values:
                    row[ROW_HASH] = row_hash(table.name, row)
                connection.execute(_insert(table, dialect), values)
        if self._claims:
            claims = [{"request_key": key, "owner": owner} for key, owner in self._claims.items()]
            connection.execute(upsert(schema.claims, dialect), claims)
        if self._released:
            released = [{"key": key, "holder": owner} for key, owner in self._released.items()]
            connection.execute(_RELEASE, released)
        if self._added:
            amounts = [
                {"scope": scope, "queries": added.queries, "tokens": added.tokens, "nano_usd": added.nano_usd}
                for scope, added in self._added.items()
            ]
            connection.execute(_add_up(dialect), amounts)

    def claim(self, request_key: str, batch_id: str | None) -> None:
        """Nobody else may ask this query until it is released."""
        owner = self.holder(batch_id)
        self.needs_lease = True
        self._claims[request_key] = self.claimed[request_key] = owner
        self._released.pop(request_key, None)

    def release(self, request_key: str, batch_id: str | None) -> None:
        """Give a claim back, if it is still held."""
        self.claimed.pop(request_key, None)
        if self._claims.pop(request_key, None) is None:
            self._released[request_key] = self.holder(batch_id)

    def settle(self, reservation: Reservation, result: Result) -> None:
        """Put what a call did cost in the place of what was reserved for it."""
        if result.completion is not None:
            usage = result.completion.usage
            known = usage.prompt_tokens is not None and usage.completion_tokens is not None
            tokens = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0) if known else None
            self._spend(reservation, reservation.billed(tokens, result.cost_nano_usd) - reservation.amount)
        elif result.error_kind is not None and not result.error_kind.perhaps_billed:
            self._spend(reservation, Spent() - reservation.amount)

    def _spend(self, reservation: Reservation, amount: Spent) -> None:
        for limit in reservation.limits:
            self.spent[limit.scope] = self.spent.get(limit.scope, Spent()) + amount
            self._added[limit.scope] = self._added.get(limit.scope, Spent()) + amount

    def holder(self, batch_id: str | None) -> str:
        """Under which name claims are held."""
        return holder_of(self._owner, batch_id)

    def question(self, question: Question) -> None:
        identity, request = question.identity, question.request
        structured, allowed_replies = request.held or (None, None)
        self._by_table["questions"].append(
            {
                "request_key": question.request_key,
                "provider": identity.provider,
                "model": identity.model,
                "base_url": identity.base_url,
                "rules_version": identity.rules_version,
                "prompt_version": request.prompt_version,
                "messages": json.dumps([{"role": m.role, "content": m.content} for m in request.messages]),
                "temperature": float(request.sampling.temperature),
                "top_p": float(request.sampling.top_p),
                "max_tokens": request.sampling.max_tokens,
                "replica": request.replica,
                "structured": structured,
                "allowed_replies": allowed_replies,
            }
        )

    def attempt(self, attempt: Attempt, reservation: Reservation) -> None:
        """The intent of a call, and its reservation."""
        self._spend(reservation, reservation.amount)
        self._by_table["attempts"].append(
            {
                "request_id": attempt.request_id,
                "request_key": attempt.request_key,
                "attempt": attempt.attempt,
                **_place(attempt.place),
                "process": self._process,
                "started_at": attempt.started_at,
                "reserved_tokens": reservation.tokens,
                "reserved_nano_usd": reservation.nano_usd,
                "batch_id": attempt.batch_id,
            }
        )

    def result(self, result: Result) -> None:
        self.ended.add(result.request_id)
        completion = result.completion
        self._by_table["results"].append(
            {
                "request_id": result.request_id,
                "status": "failed" if completion is None else "ok",
                "outcome": None if completion is None else completion.outcome.value,
                "error_kind": None if result.error_kind is None else result.error_kind.value,
                "error_detail": result.error_detail,
                "http_status": result.http_status,
                **_usage(Usage() if completion is None else completion.usage),
                "cost_nano_usd": result.cost_nano_usd,
                "price_version": result.price_version,
                "latency_ms": float(result.latency_ms),
                "finished_at": result.finished_at,
            }
        )

    def answer(self, request_key: str, answer: StoredAnswer, created_at: int) -> None:
        """Store the first answer of a query."""
        self.stored[request_key] = answer
        completion = answer.completion
        self._by_table["answers"].append(
            {
                "request_key": request_key,
                "request_id": answer.request_id,
                "text": completion.text,
                "finish_reason": completion.finish_reason,
                "outcome": completion.outcome.value,
                **_usage(completion.usage),
                "reasoning": completion.reasoning,
                "probabilities": _probabilities(completion),
                "created_at": created_at,
            }
        )

    def answered_use(self, use: Use, answer: StoredAnswer, *, reused: bool) -> None:
        self._use(use, answer.request_id, reused, answer.completion.outcome.value, None)

    def failed_use(self, use: Use, error_kind: str) -> None:
        self._use(use, None, False, "failed", error_kind)

    def _use(self, use: Use, request_id: str | None, reused: bool, outcome: str, error_kind: str | None) -> None:
        self._by_table["uses"].append(
            {
                "use_id": use.use_id,
                "answered": request_id is not None,
                "request_key": use.request_key,
                "request_id": request_id,
                "reused": reused,
                "outcome": outcome,
                "error_kind": error_kind,
                **_place(use.place),
                "asked_at": use.asked_at,
            }
        )


def stored_answers(connection: sa.Connection, request_keys: Iterable[str]) -> dict[str, StoredAnswer]:
    """The answers on the ledger to the queries `request_keys`, by key."""
    found: dict[str, StoredAnswer] = {}
    for row in _of_keys(connection, _ANSWERS, request_keys):
        key, request_id, text, finish_reason, outcome, reasoning, probabilities, cost, *tokens = row
        known = None if probabilities is None else json.loads(probabilities)
        completion = Completion(
            text, finish_reason, Outcome(outcome), Usage(*tokens), reasoning=reasoning, probabilities=known
        )
        found[key] = StoredAnswer(request_id, completion, cost)
    return found


def live_claims(connection: sa.Connection, request_keys: Iterable[str], now: int) -> dict[str, str]:
    """The living owner of each of `request_keys` that is being asked."""
    found = _of_keys(connection, _CLAIMS, request_keys)
    return {key: owner for key, owner, known, lease in found if known is not None and not is_dead(owner, lease, now)}


def known_ids(connection: sa.Connection, table: sa.Table, request_ids: Iterable[str]) -> set[str]:
    """Those of `request_ids` that `table` (attempts or results) has a row of."""
    return {row.request_id for row in _of_keys(connection, _IDS[table.name], request_ids)}


def spending_of(connection: sa.Connection, scopes: Iterable[str]) -> dict[str, Spent]:
    """What each of `scopes` may have spent."""
    rows = connection.execute(_SPENDING, {"scopes": sorted(scopes)})
    return {scope: Spent(queries, tokens, nano_usd) for scope, queries, tokens, nano_usd in rows}


def _of_keys(connection: sa.Connection, select: sa.Select, wanted: Iterable[str]) -> Iterator[sa.Row]:
    keys = sorted(wanted)
    for start in range(0, len(keys), LOOK_UP_AT_ONCE):
        yield from connection.execute(select, {"wanted": keys[start : start + LOOK_UP_AT_ONCE]})


_ANSWERS = (
    sa.select(
        schema.answers.c.request_key,
        schema.answers.c.request_id,
        schema.answers.c.text,
        schema.answers.c.finish_reason,
        schema.answers.c.outcome,
        schema.answers.c.reasoning,
        schema.answers.c.probabilities,
        schema.results.c.cost_nano_usd,
        *(schema.answers.c[name] for name in schema.USAGE),
    )
    .select_from(schema.answers.outerjoin(schema.results, schema.answers.c.request_id == schema.results.c.request_id))
    .where(schema.answers.c.request_key.in_(sa.bindparam("wanted", expanding=True)))
)

_CLAIMS = (
    sa.select(schema.claims.c.request_key, schema.claims.c.owner, schema.owners.c.owner, schema.owners.c.lease_until)
    .select_from(schema.claims.outerjoin(schema.owners, schema.claims.c.owner == schema.owners.c.owner))
    .where(schema.claims.c.request_key.in_(sa.bindparam("wanted", expanding=True)))
)

_IDS = {
    table.name: sa.select(table.c.request_id).where(table.c.request_id.in_(sa.bindparam("wanted", expanding=True)))
    for table in (schema.attempts, schema.results)
}

_SPENDING = sa.select(
    schema.spending.c.scope, schema.spending.c.queries, schema.spending.c.tokens, schema.spending.c.nano_usd
).where(schema.spending.c.scope.in_(sa.bindparam("scopes", expanding=True)))

_RELEASE = sa.delete(schema.claims).where(
    schema.claims.c.request_key == sa.bindparam("key"), schema.claims.c.owner == sa.bindparam("holder")
)


_KEPT_WHEN_REPEATED = {"questions": ["request_key"], "uses": ["use_id", "answered"]}
"""The tables where a repeated row is ignored, with what makes it a repetition. Elsewhere a repetition is an error."""


@cache
def upsert(table: sa.Table, dialect: str) -> sa.Insert:
    """An insert that replaces the row of the same primary key."""
    insert = _dialect(dialect).insert(table)
    keys = [column.name for column in table.primary_key]
    others = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=others)


@cache
def insert_new(table: sa.Table, dialect: str) -> sa.Insert:
    """An insert that leaves a row of the same primary key as it is."""
    return _dialect(dialect).insert(table).on_conflict_do_nothing()


@cache
def _insert(table: sa.Table, dialect: str) -> sa.Insert:
    insert = _dialect(dialect).insert(table)
    unique = _KEPT_WHEN_REPEATED.get(table.name)
    return insert.on_conflict_do_nothing(index_elements=unique) if unique else insert


@cache
def _add_up(dialect: str) -> sa.Insert:
    """Adds amounts to scopes."""
    insert = _dialect(dialect).insert(schema.spending)
    amounts = ("queries", "tokens", "nano_usd")
    added = {name: schema.spending.c[name] + insert.excluded[name] for name in amounts}
    return insert.on_conflict_do_update(index_elements=["scope"], set_=added)


def _dialect(name: str) -> ModuleType:
    return postgresql if name == "postgresql" else sqlite


def _place(place: Place) -> dict[str, str | None]:
    return {
        "role": place.role,
        "purpose": place.purpose,
        "operation": place.operation,
        "provider": place.provider,
        "model": place.model,
        "run_id": place.run_id,
        "asset_key": place.asset_key,
        "partition_key": place.partition_key,
        "transition_id": place.transition_id,
        "sample_id": place.sample_id,
    }


def _probabilities(completion: Completion) -> str | None:
    """As the ledger keeps them: the same JSON for the same values."""
    return None if completion.probabilities is None else json.dumps(dict(completion.probabilities), sort_keys=True)


def _usage(usage: Usage) -> dict[str, int | None]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "completion_tokens": usage.completion_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
    }
