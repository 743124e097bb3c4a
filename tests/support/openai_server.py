"""A real HTTP server that speaks the OpenAI chat completions protocol, counts what it receives and fails on demand.

Its counters are the truth that a ledger is compared with.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Body = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """A chat completion. None leaves a field out."""

    text: str | None = "fine"
    finish_reason: str = "stop"
    refusal: str | None = None
    prompt_tokens: int | None = 10
    cached_tokens: int | None = 0
    completion_tokens: int | None = 5

    def body(self, model: str) -> Body:
        """The response body."""
        message: Body = {"role": "assistant", "content": self.text, "refusal": self.refusal}
        body: Body = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish_reason}],
        }
        if self.prompt_tokens is not None and self.completion_tokens is not None:
            usage: Body = {
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
                "total_tokens": self.prompt_tokens + self.completion_tokens,
            }
            if self.cached_tokens is not None:
                usage["prompt_tokens_details"] = {"cached_tokens": self.cached_tokens}
            body["usage"] = usage
        return body


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of an answer."""

    status: int = 500
    body: str = '{"error": {"message": "the model is on fire", "type": "server_error"}}'
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    disconnect: bool = False
    """Close the connection without a response."""
    hang_s: float = 0.0
    """Wait before anything is sent."""


def echo(body: Body) -> Reply:
    """The default answer: a few words that depend on the messages and the seed, and honest token counts (words)."""
    said = json.dumps([body["messages"], body.get("seed")], sort_keys=True)
    text = f"answer {hashlib.sha256(said.encode()).hexdigest()[:12]}"
    return Reply(text, prompt_tokens=len(said.split()), completion_tokens=len(text.split()))


class OpenAIServer:
    """Serves on a free loopback port from its own thread; start and stop it with `with`."""

    def __init__(self, respond: Callable[[Body], Reply | str] = echo, *, latency_s: float = 0.0) -> None:
        self.respond = respond
        """Answers a request body; a text stands for a Reply that says it."""
        self.latency_s = latency_s
        self.faults: deque[Fault] = deque()
        """Each request takes the first one, if any."""
        self.received: list[Body] = []
        """Every request body that arrived, answered or not, in order of arrival."""
        self.headers: list[dict[str, str]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.base_url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-server", daemon=True)
        self._runner: web.AppRunner | None = None

    @property
    def count(self) -> int:
        """Requests received."""
        return len(self.received)

    def __enter__(self) -> OpenAIServer:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._runner is not None
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        application = web.Application(client_max_size=64 * 1024**2)
        application.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/v1"

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.received.append(body)
        self.headers.append(dict(request.headers))
        fault = self.faults.popleft() if self.faults else None
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await (self._answer(body) if fault is None else self._fail(request, fault))
        finally:
            self.in_flight -= 1

    async def _answer(self, body: Body) -> web.Response:
        await asyncio.sleep(self.latency_s)
        said = self.respond(body)
        reply = Reply(said) if isinstance(said, str) else said
        return web.json_response(reply.body(body["model"]))

    async def _fail(self, request: web.Request, fault: Fault) -> web.Response:
        await asyncio.sleep(fault.hang_s)
        if fault.disconnect:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(
            status=fault.status, text=fault.body, content_type=fault.content_type, headers=dict(fault.headers)
        )
