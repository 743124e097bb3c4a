"""A loopback server that speaks the OpenAI chat completions protocol and answers as the toy model of `world` does.

Run as a process of its own: `python -m benchmarks.policy.server --latencies 0.15 0.35` prints its port and serves until
it is ended. `GET /stats` returns `Served` as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks.policy.world import answer


@dataclass
class Served:
    """What happened since the server began."""

    requests: int = 0
    latency_s: float = 0.0
    """Of all requests, as they were to take."""
    in_flight: int = 0
    most_in_flight: int = 0
    cpu_s: float = 0.0
    """Of this process."""


class Server:
    """Answers and counts, on one event loop."""

    def __init__(self, latencies_s: Sequence[float]) -> None:
        """Each question takes one of `latencies_s`, by its hash: all equally often, the same one in every run."""
        self._latencies_s = latencies_s
        self._served = Served()

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application(client_max_size=64 * 1024**2)
        application.router.add_post("/v1/chat/completions", self.complete)
        application.router.add_get("/stats", self.stats)
        return application

    async def complete(self, request: web.Request) -> web.Response:
        """One chat completion."""
        arrived, served = time.perf_counter(), self._served
        content = await request.read()
        latency_s = self._latencies_s[hashlib.blake2b(content, digest_size=8).digest()[0] % len(self._latencies_s)]
        served.requests += 1
        served.latency_s += latency_s
        served.in_flight += 1
        served.most_in_flight = max(served.most_in_flight, served.in_flight)
        response = web.json_response(_completion(json.loads(content)))
        try:
            await asyncio.sleep(max(0.0, latency_s - (time.perf_counter() - arrived)))
        finally:
            served.in_flight -= 1
        return response

    async def stats(self, _: web.Request) -> web.Response:
        """The counters."""
        self._served.cpu_s = time.process_time()
        return web.json_response(asdict(self._served))


class ServerProcess:
    """A running server, as its clients see it."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self.base_url = f"{self._address}/v1"

    def served(self) -> Served:
        """What it counted so far."""
        with urllib.request.urlopen(f"{self._address}/stats", timeout=10) as response:
            return Served(**json.load(response))


@contextmanager
def serving(root: Path, latencies_s: Sequence[float]) -> Iterator[ServerProcess]:
    """The server in a process of its own for the block; `root` is the project's folder."""
    command = [sys.executable, "-m", "benchmarks.policy.server", "--latencies", *map(str, latencies_s)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield ServerProcess(int(process.stdout.readline()))
        finally:
            process.terminate()


def _completion(body: dict[str, Any]) -> dict[str, Any]:
    text = answer(body)
    prompt_tokens = sum(len(message["content"].split()) for message in body["messages"])
    completion_tokens = len(text.split())
    return {
        "id": "chatcmpl-toy",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


async def _serve(latencies_s: Sequence[float]) -> None:
    runner = web.AppRunner(Server(latencies_s).application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latencies", type=float, nargs="+", required=True, help="seconds a question may take")
    asyncio.run(_serve(parser.parse_args().latencies))
