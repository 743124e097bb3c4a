"""The rows of one transaction, collected before they are inserted table by table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from teams_dagster.completions.protocol import Completion, Outcome, Usage
from teams_dagster.ledger import schema
from teams_dagster.ledger.records import Attempt, Place, Question, Result, StoredAnswer, Use

LOOK_UP_AT_ONCE = 500
"""Keys in one `IN` list."""

_INSERTED = (schema.questions, schema.attempts, schema.results, schema.answers, schema.uses)


class Rows:
    """Rows to insert, and the answers that are stored already or will be by these rows."""

    def __init__(self, stored: dict[str, StoredAnswer], process: str) -> None:
        self.stored = stored
        self._process = process
        self._by_table: dict[str, list[dict[str, Any]]] = {table.name: [] for table in _INSERTED}

    def insert(self, connection: sa.Connection) -> None:
        """Insert everything collected. A question asked before and a use counted before are left as they are."""
        for table in _INSERTED:
            values = self._by_table[table.name]
            if values:
                connection.execute(_insert(table, connection.dialect.name), values)

    def question(self, question: Question) -> None:
        identity, request = question.identity, question.request
        self._by_table["questions"].append(
            {
                "request_key": question.request_key,
                "provider": identity.provider,
                "model": identity.model,
                "base_url": identity.base_url,
                "rules_version": identity.rules_version,
                "prompt_version": request.prompt_version,
                "messages": json.dumps([{"role": m.role, "content": m.content} for m in request.messages]),
                "temperature": request.sampling.temperature,
                "top_p": request.sampling.top_p,
                "max_tokens": request.sampling.max_tokens,
                "replica": request.replica,
            }
        )

    def attempt(self, attempt: Attempt) -> None:
        self._by_table["attempts"].append(
            {
                "request_id": attempt.request_id,
                "request_key": attempt.request_key,
                "attempt": attempt.attempt,
                **_place(attempt.place),
                "process": self._process,
                "started_at": attempt.started_at,
            }
        )

    def result(self, result: Result) -> None:
        completion = result.completion
        self._by_table["results"].append(
            {
                "request_id": result.request_id,
                "status": "failed" if completion is None else "ok",
                "outcome": None if completion is None else completion.outcome.value,
                "error_kind": result.error_kind,
                "error_detail": result.error_detail,
                "http_status": result.http_status,
                **_usage(Usage() if completion is None else completion.usage),
                "cost_nano_usd": result.cost_nano_usd,
                "price_version": result.price_version,
                "latency_ms": result.latency_ms,
                "finished_at": result.finished_at,
            }
        )

    def answer(self, request_key: str, answer: StoredAnswer, created_at: int) -> None:
        """Store the first answer of a question."""
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
    """The answers on the ledger to the questions `request_keys`, by key."""
    keys = sorted(request_keys)
    found: dict[str, StoredAnswer] = {}
    for start in range(0, len(keys), LOOK_UP_AT_ONCE):
        chunk = {"request_keys": keys[start : start + LOOK_UP_AT_ONCE]}
        for key, request_id, text, finish_reason, outcome, prompt, cached, completion in connection.execute(
            _LOOK_UP, chunk
        ):
            usage = Usage(prompt, cached, completion)
            found[key] = StoredAnswer(request_id, Completion(text, finish_reason, Outcome(outcome), usage))
    return found


_LOOK_UP = sa.select(
    schema.answers.c.request_key,
    schema.answers.c.request_id,
    schema.answers.c.text,
    schema.answers.c.finish_reason,
    schema.answers.c.outcome,
    schema.answers.c.prompt_tokens,
    schema.answers.c.cached_tokens,
    schema.answers.c.completion_tokens,
).where(schema.answers.c.request_key.in_(sa.bindparam("request_keys", expanding=True)))


_KEPT_WHEN_REPEATED = {"questions": ["request_key"], "uses": ["use_id", "answered"]}
"""The tables where a repeated row is ignored, with what makes it a repetition. Elsewhere a repetition is an error."""


def _insert(table: sa.Table, dialect: str) -> sa.Insert:
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    unique = _KEPT_WHEN_REPEATED.get(table.name)
    return insert.on_conflict_do_nothing(index_elements=unique) if unique else insert


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


def _usage(usage: Usage) -> dict[str, int | None]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "completion_tokens": usage.completion_tokens,
    }
