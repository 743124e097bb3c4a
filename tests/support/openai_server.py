"""A real HTTP server that speaks the OpenAI chat completions protocol, counts what it receives and fails on demand.

Its counters are the truth that a ledger is compared with.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

Body = dict[str, Any]

HELD_S = 20.0
"""Answers are held back no longer than this: then a test says what did not happen."""


@dataclass(frozen=True)
class Reply:
    """A chat completion. None leaves a field out."""

    text: str | None = "fine"
    finish_reason: str = "stop"
    refusal: str | None = None
    reasoning_content: str | None = None
    """What a server with a reasoning parser sets apart; None leaves the field out."""
    prompt_tokens: int | None = 10
    cached_tokens: int | None = 0
    completion_tokens: int | None = 5
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None
    total_tokens: int | None = None
    """None reports what the others add up to."""
    headers: Mapping[str, str] = field(default_factory=dict)
    logprobs: tuple[Body, ...] = ()
    """The log-probabilities of its tokens, where they are asked for; in the place of the server's."""

    def body(self, model: str) -> Body:
        """The response body."""
        message: Body = {"role": "assistant", "content": self.text, "refusal": self.refusal}
        if self.reasoning_content is not None:
            message["reasoning_content"] = self.reasoning_content
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
                "total_tokens": self.total_tokens or self.prompt_tokens + self.completion_tokens,
            }
            if self.cached_tokens is not None:
                usage["prompt_tokens_details"] = {"cached_tokens": self.cached_tokens}
            if self.cache_write_tokens is not None:
                usage.setdefault("prompt_tokens_details", {})["cache_write_tokens"] = self.cache_write_tokens
            if self.reasoning_tokens is not None:
                usage["completion_tokens_details"] = {"reasoning_tokens": self.reasoning_tokens}
            body["usage"] = usage
        return body


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of an answer."""

    status: int = 500
    body: str | bytes = '{"error": {"message": "the model is on fire", "type": "server_error"}}'
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    disconnect: bool = False
    """Close the connection without a response."""
    hang_s: float = 0.0
    """Wait before anything is sent."""
    part: bool = False
    """Send half of the body first, then disconnect or hang."""
    endless: bool = False
    """Send the body again and again until nobody listens."""


def echo(body: Body) -> Reply:
    """The default answer: a few words that depend on the messages and the seed, and honest token counts (words)."""
    said = json.dumps([body["messages"], body.get("seed")], sort_keys=True)
    text = f"answer {hashlib.sha256(said.encode()).hexdigest()[:12]}"
    return Reply(text, prompt_tokens=len(said.split()), completion_tokens=len(text.split()))


def fine(body: Body) -> str:
    """An answer to what was asked, and to nothing else."""
    return f"fine: {body['messages'][-1]['content']}"


class OpenAIServer:
    """Serves on a loopback port from its own thread; start and stop it with `with`."""

    def __init__(
        self, respond: Callable[[Body], Reply | Fault | str] = echo, *, latency_s: float = 0.0, port: int = 0
    ) -> None:
        """`port` 0 takes a free one."""
        self._port = port
        self.respond = respond
        """Answers a request body, or refuses it; a text stands for a Reply that says it."""
        self.logprobs: list[Body] = []
        """The log-probabilities of each reply's tokens, where they are asked for."""
        self.latency_s = latency_s
        self.holds_until = 0
        """Until so many requests are in flight together, once, none is answered."""
        self.faults: deque[Fault] = deque()
        """Each request takes the first one, if any."""
        self.received: list[Body] = []
        """Every request body that arrived, answered or not, in order of arrival."""
        self.headers: list[dict[str, str]] = []
        self.queries: list[str] = []
        """What stood after the address's question mark."""
        self.in_flight = 0
        self.most_in_flight = 0
        self.sent_bytes = 0
        """Of endless bodies."""
        self.base_url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-server", daemon=True)
        self._runner: web.AppRunner | None = None

    @property
    def count(self) -> int:
        """Requests received."""
        return len(self.received)

    def __enter__(self) -> Self:
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
        application.add_routes(self._routes())
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/v1"

    def drop_connections(self) -> None:
        """Close the connections that are open, as a server does with idle ones. Returns when they are closed."""

        async def drop() -> None:
            assert self._runner is not None
            assert self._runner.server is not None
            for connection in self._runner.server.connections:
                if connection.transport is not None:
                    connection.transport.close()

        asyncio.run_coroutine_threadsafe(drop(), self._loop).result()
        time.sleep(0.05)  # until the other side's kernel has heard of it

    def _routes(self) -> list[web.RouteDef]:
        """What is served; a server that speaks more of the protocol adds to it."""
        return [web.post("/v1/chat/completions", self._complete)]

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.received.append(body)
        self.headers.append(dict(request.headers))
        self.queries.append(request.query_string)
        fault = self.faults.popleft() if self.faults else None
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await (self._answer(request, body) if fault is None else self._fail(request, fault))
        finally:
            self.in_flight -= 1

    async def _hold(self) -> None:
        given_up_at = time.monotonic() + HELD_S
        while self.in_flight < self.holds_until and time.monotonic() < given_up_at:  # noqa: ASYNC110 - set by a thread
            await asyncio.sleep(0.005)
        self.holds_until = 0

    async def _answer(self, request: web.Request, body: Body) -> web.StreamResponse:
        await self._hold()
        await asyncio.sleep(self.latency_s)
        said = self.respond(body)
        if isinstance(said, Fault):
            return await self._fail(request, said)
        reply = Reply(said) if isinstance(said, str) else said
        answer = reply.body(body["model"])
        told = list(reply.logprobs) or self.logprobs
        if told and body.get("logprobs"):
            answer["choices"][0]["logprobs"] = {"content": told}
        return web.json_response(answer, headers=dict(reply.headers))

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        body = fault.body if isinstance(fault.body, bytes) else fault.body.encode()
        headers = {"Content-Type": fault.content_type, **fault.headers}
        if fault.part or fault.endless:
            return await self._fail_midway(
                request, fault, web.StreamResponse(status=fault.status, headers=headers), body
            )
        await asyncio.sleep(fault.hang_s)
        if fault.disconnect:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=fault.status, body=body, headers=headers)

    async def _fail_midway(
        self, request: web.Request, fault: Fault, response: web.StreamResponse, body: bytes
    ) -> web.StreamResponse:
        if fault.part:
            response.content_length = len(body)
        await response.prepare(request)
        try:
            await response.write(body[: len(body) // 2] if fault.part else body)
            self.sent_bytes += len(body)
            while fault.endless:
                await response.write(body)
                self.sent_bytes += len(body)
        except ConnectionError:
            return response
        await asyncio.sleep(fault.hang_s)
        if fault.disconnect and request.transport is not None:
            request.transport.abort()
        return response
