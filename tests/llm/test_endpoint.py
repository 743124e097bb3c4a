"""A model behind its limits, in ticks of a clock of one's own."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import Role
from teams_dagster.llm.concurrency import AdaptiveLimit
from teams_dagster.llm.endpoint import UNPACED, Endpoint, made_ready
from tests.support.questions import question

IN_FLIGHT = 8
INTENT = CALL = SETTLEMENT = 1
"""Ticks."""


class Ticks:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self._now = 0
        self._due: list[tuple[int, asyncio.Future[None]]] = []

    async def sleep(self, ticks: int) -> None:
        future = asyncio.get_running_loop().create_future()
        self._due.append((self._now + ticks, future))
        await future

    async def pass_one(self) -> None:
        self._now += 1
        for at, future in self._due:
            if at == self._now:
                future.set_result(None)
        for _ in range(20):  # whatever follows from it happens before the next tick
            await asyncio.sleep(0)


async def places_taken() -> int:
    """Calls under way once all goes its way, where an intent takes as long as a call and its settlement each."""
    ticks, limit = Ticks(), AdaptiveLimit(IN_FLIGHT)
    model = OpenAICompatibleModel("m", base_url="http://127.0.0.1:9/v1")
    endpoint = Endpoint(model, Role.EXPERT, limit, made_ready(IN_FLIGHT), UNPACED, 0.5)

    async def ask() -> None:
        async with AsyncExitStack() as front:
            tokens = await front.enter_async_context(endpoint.turn(question()))
            await ticks.sleep(INTENT)
            async with endpoint.sending(tokens):
                await front.aclose()
                await ticks.sleep(CALL + SETTLEMENT)

    asked = [asyncio.create_task(ask()) for _ in range(100)]
    await asyncio.sleep(0)
    for _ in range(10):
        await ticks.pass_one()
    for task in asked:
        task.cancel()
    under_way = limit.in_flight
    await asyncio.gather(*asked, return_exceptions=True)
    return under_way


def test_no_place_stays_empty_where_an_intent_takes_as_long_as_a_call() -> None:
    assert asyncio.run(places_taken()) == IN_FLIGHT
