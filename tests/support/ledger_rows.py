"""Rows written straight into a ledger database, where a test wants them as they are and in its own order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from teams_dagster.core.row_hash import ROW_HASH, row_hash
from teams_dagster.ledger import schema
from teams_dagster.ledger.database import open_database, write_transaction

Row = tuple[sa.Table, dict[str, Any]]

USAGE = {
    "prompt_tokens": 10,
    "cached_tokens": 2,
    "completion_tokens": 5,
    "reasoning_tokens": 1,
    "cache_write_tokens": 0,
}


@dataclass(frozen=True)
class Asked:
    """One question: the rows it leaves, in the order they are written."""

    name: str
    place: dict[str, Any] = field(default_factory=dict)

    def intent(self, attempt: int = 1) -> list[Row]:
        """A call that is sent."""
        question = {
            "request_key": self.key,
            "provider": "openai",
            "model": "m",
            "base_url": "https://host/v1",
            "rules_version": "",
            "prompt_version": "v",
            "messages": "[]",
            "temperature": 0.7,
            "top_p": 0.95,
            "max_tokens": 10,
            "replica": 3,
        }
        intent = {
            "request_id": self.request_id(attempt),
            "request_key": self.key,
            "attempt": attempt,
            **self._place(),
            "process": "host:1",
            "started_at": 1_000_000,
            "reserved_tokens": 100,
            "reserved_nano_usd": 50,
        }
        return [*([(schema.questions, question)] if attempt == 1 else []), (schema.attempts, intent)]

    def failed(self, kind: str, attempt: int = 1) -> list[Row]:
        """A call that brought nothing."""
        return [(schema.results, self._result(attempt, status="failed", error_kind=kind, http_status=500))]

    def given_up(self, kind: str) -> list[Row]:
        """A question that stays without an answer."""
        return [self._use(answered=False, outcome="failed", error_kind=kind)]

    def answered(self, outcome: str = "usable", attempt: int = 1, cost: int | None = 7) -> list[Row]:
        """A billed answer; `cost` is None where no price is known."""
        result = self._result(attempt, status="ok", outcome=outcome, http_status=200, cost_nano_usd=cost, **USAGE)
        answer = {
            "request_key": self.key,
            "request_id": self.request_id(attempt),
            "text": f"answer to {self.name}",
            "finish_reason": "stop",
            "outcome": outcome,
            **USAGE,
            "created_at": 2_000_000,
        }
        use = self._use(answered=True, outcome=outcome, request_id=self.request_id(attempt))
        return [(schema.results, result), (schema.answers, answer), use]

    def reused(self, outcome: str = "usable", run_id: str = "run-2") -> list[Row]:
        """The answer used by a later run."""
        changes = {"use_id": f"{run_id} {self.name}", "run_id": run_id, "reused": True}
        return [self._use(answered=True, outcome=outcome, request_id=self.request_id(1), **changes)]

    @property
    def key(self) -> str:
        return f"key {self.name}"

    def request_id(self, attempt: int) -> str:
        return f"call {self.name} {attempt}"

    def _result(self, attempt: int, **values: Any) -> dict[str, Any]:
        always = {"price_version": "prices-1", "latency_ms": 12.5, "finished_at": 2_000_000}
        return {"request_id": self.request_id(attempt), **always, **values}

    def _use(self, **values: Any) -> Row:
        always = {"use_id": f"run-1 {self.name}", "request_key": self.key, "reused": False, "asked_at": 1_000_000}
        return schema.uses, {**always, **self._place(), **values}

    def _place(self) -> dict[str, Any]:
        always = {"role": "expert", "purpose": "respond", "provider": "openai", "model": "m"}
        return {**always, "run_id": "run-1", "asset_key": "asset", **self.place}


def stories(name: str, **place: Any) -> list[list[list[Row]]]:
    """Every way a question can go: transactions in their order. `place` has columns of who asked, for what."""
    asked = Asked(name, place)
    return [
        [asked.intent()],
        [asked.intent(), asked.answered("truncated")],
        [asked.intent(), asked.answered(), asked.reused()],
        [asked.intent(), asked.failed("timeout"), asked.intent(2), asked.answered(attempt=2)],
        [asked.intent(), [*asked.failed("server"), *asked.given_up("server")]],
        [
            asked.intent(),
            [*asked.failed("server"), *asked.given_up("server")],
            asked.intent(2),
            asked.answered(attempt=2),
        ],
    ]


def insert(url: str, rows: Iterable[Row]) -> None:
    """Write rows in their order, in one transaction."""
    engine = open_database(url)
    try:
        with write_transaction(engine) as connection:
            for table, values in rows:
                hashed = {**values, ROW_HASH: row_hash(table.name, values)} if table in schema.HISTORY else values
                connection.execute(sa.insert(table), hashed)
    finally:
        engine.dispose()
