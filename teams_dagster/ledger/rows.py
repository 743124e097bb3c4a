"""The rows of one transaction, collected before they are inserted table by table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa

from teams_dagster.core.protocol import Completion, Usage
from teams_dagster.core.row_hash import ROW_HASH, row_hash
from teams_dagster.ledger import schema
from teams_dagster.ledger.budgets import Exhausted, Limit, Reservation, Spent, shortage
from teams_dagster.ledger.inserts import Statement, add_up, insert_row, statements, upsert
from teams_dagster.ledger.known import Known, among
from teams_dagster.ledger.owners import holder_of
from teams_dagster.ledger.records import Attempt, Place, Question, Result, StoredAnswer, Use


class Rows:
    """Rows to insert, and what is known of answers, claims and spending, these rows included."""

    def __init__(self, owner: str, process: str, known: Known) -> None:
        """`owner` holds the claims; `known` is what the ledger says before."""
        self.stored, self.claimed, self.spent = dict(known.stored), dict(known.claimed), dict(known.spent)
        self.begun, self.ended = known.begun, set(known.ended)
        self._owner, self._process = owner, process
        self._by_table: dict[str, list[dict[str, Any]]] = {table.name: [] for table in schema.HISTORY}
        self._claims: dict[str, str] = {}
        self._released: dict[str, set[str]] = {}
        self._added: dict[str, Spent] = {}
        self._most: dict[str, Spent] = {}
        """What scopes may gain at most on the way, whatever the order."""
        self._limits: set[Limit] = set()
        self._short = False
        self.needs_lease = False
        """Whether this process holds something now that a lease must keep."""

    def statements(self, dialect: str) -> list[Statement]:
        """What writes everything collected, but for the claims given back.

        A query asked before and a use counted before are left as they are.
        """
        found: list[Statement] = []
        for table in schema.HISTORY:
            if rows := self._by_table[table.name]:
                found += statements(insert_row(table, dialect), rows, dialect)
        if self._claims:
            claims = [{"request_key": key, "owner": owner} for key, owner in self._claims.items()]
            found += statements(upsert(schema.claims, dialect), claims, dialect)
        if self._added:
            amounts = [
                {"scope": scope, "queries": added.queries, "tokens": added.tokens, "nano_usd": added.nano_usd}
                for scope, added in self._added.items()
            ]
            found += statements(add_up(schema.spending, dialect), amounts, dialect)
        return found

    def give_back(self, connection: sa.Connection) -> None:
        """Delete the claims that are released, those that are still held."""
        for owner, keys in self._released.items():
            connection.execute(_release(connection.dialect.name), {"holder": owner, "keys": sorted(keys)})

    def shortage(self, reservation: Reservation) -> Exhausted | None:
        """The first budget that has no room for `reservation`, after what these rows reserve and settle."""
        self._limits.update(limit for limit in reservation.limits if limit.budget.bounded)
        found = shortage(reservation, self.spent)
        self._short = self._short or found is not None
        return found

    def fit(self, spent: Mapping[str, Spent]) -> bool:
        """Whether, with so much `spent` before them, all of these rows' reservations have room in whatever order.

        So nothing changes for them that was decided before anything was known to be spent.
        """
        return not self._short and all(_within(limit, spent, self._most) for limit in self._limits)

    def claim(self, request_key: str, batch_id: str | None) -> None:
        """Nobody else may ask this query until it is released."""
        owner = self.holder(batch_id)
        self.needs_lease = True
        self._claims[request_key] = self.claimed[request_key] = owner
        self._released.get(owner, set()).discard(request_key)

    def release(self, request_key: str, batch_id: str | None) -> None:
        """Give a claim back, if it is still held."""
        self.claimed.pop(request_key, None)
        if self._claims.pop(request_key, None) is None:
            self._released.setdefault(self.holder(batch_id), set()).add(request_key)

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
        gained = Spent(max(amount.queries, 0), max(amount.tokens, 0), max(amount.nano_usd, 0))
        for limit in reservation.limits:
            scope = limit.scope
            self.spent[scope] = self.spent.get(scope, Spent()) + amount
            self._added[scope] = self._added.get(scope, Spent()) + amount
            self._most[scope] = self._most.get(scope, Spent()) + gained

    def holder(self, batch_id: str | None) -> str:
        """Under which name claims are held."""
        return holder_of(self._owner, batch_id)

    def question(self, question: Question) -> None:
        identity, request = question.identity, question.request
        structured, allowed_replies = request.held or (None, None)
        self._add(
            "questions",
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
            },
        )

    def attempt(self, attempt: Attempt, reservation: Reservation) -> None:
        """The intent of a call, and its reservation."""
        self._spend(reservation, reservation.amount)
        self._add(
            "attempts",
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
            },
        )

    def result(self, result: Result) -> None:
        self.ended.add(result.request_id)
        completion = result.completion
        self._add(
            "results",
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
            },
        )

    def answer(self, request_key: str, answer: StoredAnswer, created_at: int) -> None:
        """Store the first answer of a query."""
        self.stored[request_key] = answer
        completion = answer.completion
        self._add(
            "answers",
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
            },
        )

    def answered_use(self, use: Use, answer: StoredAnswer, *, reused: bool) -> None:
        self._use(use, answer.request_id, reused, answer.completion.outcome.value, None)

    def failed_use(self, use: Use, error_kind: str) -> None:
        self._use(use, None, False, "failed", error_kind)

    def _add(self, table: str, row: dict[str, Any]) -> None:
        row[ROW_HASH] = row_hash(table, row)
        self._by_table[table].append(row)

    def _use(self, use: Use, request_id: str | None, reused: bool, outcome: str, error_kind: str | None) -> None:
        self._add(
            "uses",
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
            },
        )


@cache
def _release(dialect: str) -> sa.Delete:
    claims = schema.claims.c
    mine = claims.owner == sa.bindparam("holder")
    return sa.delete(schema.claims).where(mine, among(claims.request_key, "keys", dialect))


def _within(limit: Limit, spent: Mapping[str, Spent], gained: Mapping[str, Spent]) -> bool:
    most = spent.get(limit.scope, Spent()) + gained.get(limit.scope, Spent())
    budget = limit.budget
    bounds = (budget.queries, most.queries), (budget.tokens, most.tokens), (budget.nano_usd, most.nano_usd)
    return all(bound is None or used <= bound for bound, used in bounds)


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
