"""Asks a preflight's queries at rising width, so that the same queries tell how many are best under way at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from teams_dagster.core.protocol import Answer, Completion, LLMClient, QueryFailed, Request
from teams_dagster.llm.ordered import in_order

ROUNDS = 2
"""How often each width is filled before the next."""

NEARLY = 0.9
"""The width that is recommended is the smallest that reaches this share of the best throughput."""


class WidthRate(BaseModel):
    """What came back with so many queries under way."""

    model_config = ConfigDict(frozen=True)

    width: int
    queries: int
    """Sent and answered; what the ledger knew is left out."""
    seconds: float

    @property
    def per_second(self) -> float:
        """Replies a second."""
        return self.queries / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Reply:
    """What came of one query."""

    request: Request
    answer: Answer | None
    failure: str = ""
    """Why there is no answer."""
    seconds: float | None = None
    """From asking to the durable answer; None where nothing was sent for it."""

    @property
    def completion(self) -> Completion | None:
        """What the model said."""
        return None if self.answer is None else self.answer.completion


async def ask_one(client: LLMClient, request: Request) -> Reply:
    """Ask a query. One that fails for good is a reply that says why; what ends a step is raised."""
    began = time.perf_counter()
    try:
        answer = await client.ask(request)
    except QueryFailed as failed:
        return Reply(request, None, f"{failed.kind.value}: {failed.detail}")
    return Reply(request, answer, seconds=None if answer.reused else time.perf_counter() - began)


async def ask_rising(
    client: LLMClient, requests: Sequence[Request], most: int, *, answers: bool = False
) -> tuple[list[Reply], list[WidthRate]]:
    """Ask all of `requests`, the first alone, then more and more at once, `most` at most.

    Returns the replies in the order of `requests`, and what each width brought. After a first query that fails for good
    nothing more is asked, unless the role `answers`: it has answered others.
    """
    replies, rates, width = [await ask_one(client, requests[0])], list[WidthRate](), 1
    if replies[0].answer is None and not answers:
        return replies, rates
    while len(replies) < len(requests):
        left = len(requests) - len(replies)
        take = left if left < ROUNDS * (width + 2 * width) or 2 * width > most else ROUNDS * width
        began = time.perf_counter()
        part = await _ask_at(client, requests[len(replies) : len(replies) + take], width)
        sent = sum(reply.seconds is not None for reply in part)
        if sent:
            rates.append(WidthRate(width=width, queries=sent, seconds=time.perf_counter() - began))
        replies += part
        width *= 2
    return replies, rates


def recommended_width(rates: Sequence[WidthRate]) -> int | None:
    """The smallest width whose throughput is nearly the best; None where nothing was measured."""
    if not rates:
        return None
    best = max(rate.per_second for rate in rates)
    return next(rate.width for rate in rates if rate.per_second >= NEARLY * best)


async def _ask_at(client: LLMClient, requests: Sequence[Request], width: int) -> list[Reply]:
    """The replies to `requests`, with `width` under way as long as there are so many."""
    room = asyncio.Semaphore(width)

    async def ask(request: Request) -> Reply:
        async with room:
            return await ask_one(client, request)

    return [reply async for reply in in_order(ask, requests, len(requests))]
