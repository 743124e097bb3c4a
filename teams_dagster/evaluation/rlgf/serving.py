"""The step's end of the socket: it asks language models for a training that runs in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teams_dagster.llm.engine import Engine
from teams_dagster.rlgf.asking import LENGTH_BYTES

Answers = Callable[[Engine, Sequence[Any]], Awaitable[tuple[list[Any], list[str]]]]
"""Of an engine and a batch of questions: the answers, and the ids of the requests that brought them."""


@dataclass
class Serving:
    """What became of the queries so far."""

    asked: Path
    """The file that each request's id is written to, one a line with what it was for, before its answer is used."""
    error: Exception | None = None
    """What ended the asking, which ends the training too."""


@asynccontextmanager
async def serving(
    asking: AbstractAsyncContextManager[Engine], answers: Mapping[str, Answers], address: Path, asked: Path
) -> AsyncGenerator[Serving]:
    """Answers at the socket `address` while the block runs, one batch after another.

    Args:
        asking: Opens the engine.
        answers: By what is asked for, what answers it.
        asked: Where the ids of requests are appended.
    """
    async with asking as engine:
        state = Serving(asked)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    size = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
                    query: dict[str, Any] = json.loads(await reader.readexactly(size))
                    reply = await _reply(state, engine, answers[query["what"]], query)
                    body = json.dumps(reply).encode()
                    writer.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                pass  # the training has ended, or was ended
            finally:
                writer.close()

        server = await asyncio.start_unix_server(serve, path=str(address))
        try:
            yield state
        finally:
            server.close()


async def _reply(state: Serving, engine: Engine, answer: Answers, query: Mapping[str, Any]) -> dict[str, Any]:
    try:
        answers, request_ids = await answer(engine, query["questions"])
    except Exception as error:
        state.error = error
        return {"ended": f"{error}" or type(error).__name__}
    with state.asked.open("a", encoding="utf-8") as file:
        file.write("".join(f"{query['what']} {request_id}\n" for request_id in request_ids))
        file.flush()
        os.fsync(file.fileno())
    return {"answers": answers, "queries": len(request_ids)}
