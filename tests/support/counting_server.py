"""A server that fails at random, and counts what it received and answered question by question: the truth."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import Counter
from dataclasses import replace

from aiohttp import web

from teams_dagster.core.protocol import Usage
from tests.support.openai_server import Body, Fault, OpenAIServer, Reply, echo

FAULTS = (
    Fault(status=500),
    Fault(status=429, headers={"Retry-After": "0.05"}),
    Fault(disconnect=True),
    Fault(status=200, body='{"choices": [{"index": 0, "mess', part=True, disconnect=True),
    Fault(status=200, body="<html>maintenance</html>", content_type="text/html"),
)

FREE = (429, 500)
"""No provider bills these."""

LATENCY_S = (0.005, 0.04)


def text_of(body: Body) -> str:
    """What a request asks about: its last message."""
    return body["messages"][-1]["content"]


class CountingServer(OpenAIServer):
    """Answers after a random time, in any order; `share` of the requests meet a fault."""

    def __init__(self, seed: int, *, share: float = 0.0) -> None:
        super().__init__(self._count)
        self.requests: Counter[str] = Counter()
        """Received, by text."""
        self.answered: Counter[str] = Counter()
        """Completions sent, by text, whether or not somebody was left to read them."""
        self.usage: dict[str, Usage] = {}
        """What the answer to a text is billed for."""
        self.free = 0
        """Requests that were refused and cost nothing."""
        self._random = random.Random(seed)
        self._share = share

    @property
    def billable(self) -> int:
        """Requests that a provider may charge for."""
        return self.count - self.free

    def _count(self, body: Body) -> Reply:
        """No two answers are alike: one that was lost and bought again differs from what was seen of it."""
        reply, text = echo(body), text_of(body)
        self.answered[text] += 1
        tokens = 1 + zlib.crc32(text.encode()) % body["max_tokens"]
        reply = replace(reply, text=f"{reply.text}, time {self.answered[text]}", completion_tokens=tokens)
        self.usage[text] = Usage(reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens)
        return reply

    async def _answer(self, request: web.Request, body: Body) -> web.StreamResponse:
        self.requests[text_of(body)] += 1
        await asyncio.sleep(self._random.uniform(*LATENCY_S))
        return await super()._answer(request, body)

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        self.requests[text_of(await request.json())] += 1
        self.free += fault.status in FREE and not fault.disconnect
        return await super()._fail(request, fault)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if self._random.random() < self._share:
            self.faults.append(self._random.choice(FAULTS))
        return await super()._complete(request)
