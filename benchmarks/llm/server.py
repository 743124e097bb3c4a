"""A loopback server that speaks the OpenAI chat completions protocol; its counters are the benchmark's truth.

Run as a process of its own: `python -m benchmarks.llm.server` prints its port and serves until it is ended.
`POST /reset` takes `Behaviour` as JSON and zeroes the counters, `GET /stats` returns `Counters` as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import Any

from aiohttp import web

WORDS_IN_ANSWER = 90

_WORDS = (
    "explain how the chosen remedies behave when the delay grows name the trade offs that follow from it and give one "
    "worked example with numbers then compare the costs with the simplest alternative and say when each is preferable"
).split()
"""They are about what is asked: texts about something else, alike but for a number, would be taken for canned ones."""


@dataclass(frozen=True)
class Behaviour:
    """How the server answers until the next reset."""

    latency_s: float = 0.05
    """From the arrival of a request to its response."""
    fault_share: float = 0.0
    """Share of requests answered with HTTP 500 or 429 (with `Retry-After: 1`), half each."""
    refused_share: float = 0.0
    """Share of questions that are answered with HTTP 400 however often they are asked."""


@dataclass
class Counters:
    """What happened since the last reset."""

    requests: int = 0
    """Completion requests received, with a question in them."""
    ok: int = 0
    faults: int = 0
    refused: int = 0
    """Different questions that were refused."""
    probes: int = 0
    """Requests without a question in them, which are answered with 400."""
    prompt_tokens: int = 0
    """Of the answers given, as reported in their usage."""
    completion_tokens: int = 0
    distinct: int = 0
    """Different questions received."""
    in_flight: int = 0
    most_in_flight: int = 0
    span_s: float = 0.0
    """From the first arrival to the last response."""
    cpu_s: float = 0.0
    """Of this process."""


class Server:
    """Answers, fails and counts. Everything happens on one event loop, so the counters are exact."""

    def __init__(self) -> None:
        self._reset(Behaviour())

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application(client_max_size=64 * 1024**2)
        application.router.add_post("/v1/chat/completions", self.complete)
        application.router.add_get("/stats", self.stats)
        application.router.add_post("/reset", self.reset)
        return application

    async def complete(self, request: web.Request) -> web.Response:
        """One chat completion, or a fault."""
        arrived = time.perf_counter()
        body = await request.json()
        content = _content(body)
        counters = self._counters
        if not content:
            counters.probes += 1
            return _error(400, "the request holds no question")
        if self._first is None:
            self._first = arrived
        counters.requests += 1
        counters.in_flight += 1
        counters.most_in_flight = max(counters.most_in_flight, counters.in_flight)
        times_seen = self._seen[content] = self._seen.get(content, 0) + 1
        try:
            await asyncio.sleep(max(0.0, self._behaviour.latency_s - (time.perf_counter() - arrived)))
        finally:
            counters.in_flight -= 1
            self._last = time.perf_counter()
        if fault_status(content, 0, self._behaviour.refused_share) is not None:
            counters.refused += times_seen == 1
            return _error(400, "the benchmark server refuses this question")
        fault = fault_status(content, times_seen, self._behaviour.fault_share)
        if fault is not None:
            counters.faults += 1
            headers = {"Retry-After": "1"} if fault == 429 else {}
            return _error(fault, "the benchmark server fails on purpose", headers)
        text = answer_text(content)
        prompt_tokens, completion_tokens = len(content.split()), len(text.split())
        counters.ok += 1
        counters.prompt_tokens += prompt_tokens
        counters.completion_tokens += completion_tokens
        return web.json_response(_completion(str(body.get("model")), text, prompt_tokens, completion_tokens))

    async def stats(self, _: web.Request) -> web.Response:
        """The counters."""
        counters = self._counters
        counters.distinct = len(self._seen)
        counters.span_s = 0.0 if self._first is None else self._last - self._first
        counters.cpu_s = time.process_time() - self._cpu_before
        return web.json_response(asdict(counters))

    async def reset(self, request: web.Request) -> web.Response:
        """Behave as told from now on, and count from zero."""
        self._reset(Behaviour(**await request.json()))
        return web.json_response({})

    def _reset(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._counters = Counters()
        self._seen: dict[str, int] = {}
        self._first: float | None = None
        self._last = 0.0
        self._cpu_before = time.process_time()


def fault_status(content: str, times_seen: int, share: float) -> int | None:
    """The HTTP status of the fault that the `times_seen`-th (from 1) asking of a question meets, or None.

    It depends on nothing else, so every client meets the same faults, and asking again can succeed.
    """
    digest = hashlib.blake2b(f"{times_seen}\n{content}".encode(), digest_size=9).digest()
    if int.from_bytes(digest[:8], "big") / 2**64 >= share:
        return None
    return 429 if digest[8] % 2 else 500


def answer_text(content: str) -> str:
    """A plain text of `WORDS_IN_ANSWER` words that is the same for the same question."""
    digest = hashlib.blake2b(content.encode(), digest_size=8)
    start = digest.digest()[0] % len(_WORDS)
    words = islice(cycle(_WORDS), start, start + WORDS_IN_ANSWER - 1)
    return f"{digest.hexdigest()} {' '.join(words)}"


def _content(body: dict[str, Any]) -> str:
    """The words of a question, however they are divided into messages."""
    contents = [message.get("content") or "" for message in body.get("messages") or []]
    return "\n\n".join(content if isinstance(content, str) else _joined(content) for content in contents)


def _joined(parts: list[dict[str, Any]]) -> str:
    return "".join(part.get("text") or "" for part in parts)


def _completion(model: str, text: str, prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{text[:16]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"error": {"message": message, "type": "benchmark", "code": None}}
    return web.Response(status=status, text=json.dumps(body), content_type="application/json", headers=headers)


async def _serve(port: int) -> None:
    runner = web.AppRunner(Server().application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    asyncio.run(_serve(parser.parse_args().port))
