"""Ledger entries for tests that need rows and no server."""

from __future__ import annotations

import asyncio
import uuid

from teams_dagster.core.protocol import Completion, ErrorKind, ModelIdentity, Outcome, Usage
from teams_dagster.ledger.budgets import PROJECT, Budget, Limit, Reservation
from teams_dagster.ledger.entries import AttemptFailed, BeginAttempt, SettleAttempt, Unanswered
from teams_dagster.ledger.records import Attempt, Place, Question, Result, Use
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.keys import request_key
from tests.support.questions import question

IDENTITY = ModelIdentity("openai", "m", "https://host/v1")

RESERVED = Reservation((Limit(PROJECT, Budget()),), tokens=100, nano_usd=50)


def begin(
    text: str,
    *,
    run_id: str = "run-1",
    asset: str = "asset",
    role: str = "expert",
    reserves: Reservation = RESERVED,
) -> BeginAttempt:
    """The intent to ask about `text`."""
    request = question(text)
    key = request_key(IDENTITY, request)
    place = Place(role, "respond", None, "openai", "m", run_id, asset, None, f"transition {text}", None)
    attempt = Attempt(uuid.uuid4().hex, key, 1, place, 1_000_000)
    return BeginAttempt(
        Question(key, IDENTITY, request), attempt, Use(f"{run_id} {text}", key, place, 1_000_000), reserves
    )


def settle(begun: BeginAttempt, text: str = "an answer", cost: int | None = 7) -> SettleAttempt:
    """Its answer."""
    completion = Completion(text, "stop", Outcome.USABLE, Usage(10, 2, 5, 1))
    result = Result(begun.attempt.request_id, completion, None, None, None, cost, "prices-1", 12.5, 2_000_000)
    return SettleAttempt(result, begun.use, begun.reserves)


def failure(begun: BeginAttempt, kind: ErrorKind = ErrorKind.SERVER) -> tuple[AttemptFailed, Unanswered]:
    """Its failure for good."""
    result = Result(begun.attempt.request_id, None, kind, "on fire", 500, None, "prices-1", 12.5, 2_000_000)
    return AttemptFailed(result, begun.reserves), Unanswered(begun.use, kind.value)


def ask(ledger: Ledger, *texts: str, run_id: str = "run-1", asset: str = "asset") -> None:
    """Ask and answer each text where it has no answer yet."""

    async def one(text: str) -> None:
        begun = begin(text, run_id=run_id, asset=asset)
        if await ledger.write(begun) is None:
            await ledger.write(settle(begun))

    async def every() -> None:
        await asyncio.gather(*[one(text) for text in texts])

    asyncio.run(every())


def ask_in_vain(ledger: Ledger, text: str, run_id: str = "run-1") -> None:
    """Ask and fail."""

    async def steps() -> None:
        begun = begin(text, run_id=run_id)
        await ledger.write(begun)
        for entry in failure(begun):
            await ledger.write(entry)

    asyncio.run(steps())


def intend(ledger: Ledger, text: str) -> BeginAttempt:
    """Write an intent and no result."""
    begun = begin(text)
    asyncio.run(_write(ledger, begun))
    return begun


async def _write(ledger: Ledger, begun: BeginAttempt) -> None:
    await ledger.write(begun)
