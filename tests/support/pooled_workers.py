"""Workers for processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from teams_dagster.llm import loop
from teams_dagster.llm.context import Tallies
from teams_dagster.llm.workers import LocalWorker, Say, WorkerPool
from tests.support.processes import Dry


@asynccontextmanager
async def doubling(job: int, say: Say) -> AsyncIterator[LocalWorker[int, tuple[int, int]]]:
    """`(item * job, process)`; later items are done sooner. Says when it is opened."""
    tallies = Tallies()
    say("opened")

    async def call(item: int) -> tuple[int, int]:
        print("not a frame")
        tallies.asked += 1
        await asyncio.sleep(0.001 * (10 - item % 10))
        return item * job, os.getpid()

    yield LocalWorker(call, tallies)


@asynccontextmanager
async def running_dry(job: object, say: Say) -> AsyncIterator[LocalWorker[int, int]]:
    async def call(item: int) -> int:
        raise Dry(item)

    yield LocalWorker(call, Tallies())


@asynccontextmanager
async def not_opened(job: object, say: Say) -> AsyncIterator[LocalWorker[int, int]]:
    raise Dry(0)
    yield


@asynccontextmanager
async def opened_by_one(job: Path, say: Say) -> AsyncIterator[LocalWorker[int, int]]:
    """Only the first process to begin can open it."""
    if (job / "first").exists():
        raise Dry(1)
    (job / "first").touch()

    async def call(item: int) -> int:
        await asyncio.sleep(0.01)
        return item

    yield LocalWorker(call, Tallies())


@asynccontextmanager
async def dying_once(job: Path, say: Say) -> AsyncIterator[LocalWorker[int, int]]:
    """The second process to begin kills itself at its first item; item -1 kills whoever has it."""
    first = not (job / "first").exists()
    (job / "first").touch()

    async def call(item: int) -> int:
        await asyncio.sleep(0.01)
        if item == -1 or (not first and not (job / "died").exists()):
            (job / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    yield LocalWorker(call, Tallies())


@asynccontextmanager
async def writing_down(job: Path, say: Say) -> AsyncIterator[LocalWorker[int, int]]:
    """Item 0 is brought; each other one is waited for forever, and its end written down, as is the worker's."""

    async def call(item: int) -> int:
        if item:
            (job / f"begun {item}").touch()
            try:
                await asyncio.sleep(3_600)
            finally:
                (job / f"ended {item}").touch()
        return os.getpid()

    try:
        yield LocalWorker(call, Tallies())
    finally:
        (job / f"closed {os.getpid()}").touch()


def main() -> None:
    """A program whose worker waits forever; says which process that is."""

    async def begin() -> None:
        async with WorkerPool(writing_down, Path(sys.argv[1]), 1, 2, print) as pool:
            print(await pool.call(0), flush=True)
            await pool.call(7)

    loop.run(begin())
