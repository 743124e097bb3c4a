"""Queries as the engine writes them on the ledger: an intent, then the answer, each durable before the next."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

from benchmarks.llm.big_ledger import ANSWER
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import (
    Completion,
    Intent,
    Message,
    ModelIdentity,
    Outcome,
    Purpose,
    Request,
    Role,
    Usage,
)
from teams_dagster.ledger.budgets import PROJECT, Budget, Limit, Reservation
from teams_dagster.ledger.entries import BeginAttempt, SettleAttempt
from teams_dagster.ledger.records import Attempt, Place, Question, Result, Use
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.keys import request_key

IDENTITY = ModelIdentity("openai", "model", "https://models.example/v1")

RESERVED = Reservation((Limit(PROJECT, Budget()),), tokens=4_000, nano_usd=4_000_000)


async def ask(ledger: Ledger, texts: Sequence[str], *, at_once: int = 64) -> None:
    """Ask and answer each text, `at_once` of them side by side."""
    waiting = iter(texts)

    async def work() -> None:
        for text in waiting:
            await _ask(ledger, text)

    await asyncio.gather(*(work() for _ in range(at_once)))


async def _ask(ledger: Ledger, text: str) -> None:
    request = Request(
        Role.EXPERT, Intent(Purpose.RESPOND, Instruction(text)), (Message("user", f"{text} {ANSWER}"),), "prompt-1"
    )
    key = request_key(IDENTITY, request)
    place = Place("expert", "respond", None, IDENTITY.provider, IDENTITY.model, "run-1", "asset", None, text, None)
    use, attempt = Use(text, key, place, 1_000_000), Attempt(uuid.uuid4().hex, key, 1, place, 1_000_000)
    if await ledger.write(BeginAttempt(Question(key, IDENTITY, request), attempt, use, RESERVED)) is None:
        answer = Completion(ANSWER, "stop", Outcome.USABLE, Usage(100, 0, 90))
        result = Result(attempt.request_id, answer, None, None, None, 70_000, "prices-1", 800.0, 2_000_000)
        await ledger.write(SettleAttempt(result, use, RESERVED))
