"""Whoever works at the items of a step: this process, or several beside it that share the work.

A worker is given an item and brings its result; `ordered.in_order` asks it for many at once. So results come in the
items' order however many processes there are, and no process holds more than is under way.

Several workers divide what they are given as they have room. The first begins alone, and the others are started when it
has brought a result: what makes a step impossible is found out once, and a short step does not wait for processes. One
that is killed leaves what it had under way to the others.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Generic, Protocol, Self, TypeVar

from teams_dagster.llm import loop
from teams_dagster.llm.child_process import (
    Failed,
    Outbox,
    ProcessLost,
    end_as_told,
    ending,
    framed,
    pipes,
    read_frame,
    received,
    start,
    stop,
)
from teams_dagster.llm.context import Tallies

Item = TypeVar("Item")
Result = TypeVar("Result")
Job = TypeVar("Job")
_Given = TypeVar("_Given", contravariant=True)
_Brought = TypeVar("_Brought", covariant=True)

Say = Callable[[str], None]

_PROGRAM = "from teams_dagster.llm.workers import main; main()"


class Worker(Protocol[_Given, _Brought]):
    """Brings results, and counts what it asked for them."""

    @property
    def tallies(self) -> Tallies:
        """What was asked so far."""
        ...

    @property
    def call(self) -> Callable[[_Given], Coroutine[Any, Any, _Brought]]:
        """Brings the result of an item."""
        ...


@dataclass(frozen=True)
class LocalWorker(Generic[Item, Result]):
    """A worker of this process."""

    call: Callable[[Item], Coroutine[Any, Any, Result]]
    tallies: Tallies


OpenWorker = Callable[[Job, Say], AbstractAsyncContextManager[Worker[Item, Result]]]
"""Opens a worker in the process that calls it: a function of a module other than `__main__`, so that a process finds it
by its name. What it says is for the log."""


@dataclass(frozen=True)
class _Call:
    number: int
    item: Any


@dataclass(frozen=True)
class _Cancel:
    number: int


@dataclass(frozen=True)
class _Returned:
    number: int
    result: Any
    failed: Failed | None
    tallies: Tallies
    """What the worker asked since it last said so."""


@dataclass(frozen=True)
class _Said:
    line: str


class _Process:
    """A worker in a process of its own, as its parent sees it."""

    def __init__(self, process: Process, tallies: Tallies, say: Say) -> None:
        self._process, self._tallies, self._say = process, tallies, say
        self._outbox = Outbox(self._write)
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self.gone: BaseException | None = None
        """Why it works no more."""
        self._hearing = asyncio.create_task(self._hear())

    @classmethod
    async def start(cls, opened: OpenWorker[Job, Any, Any], job: Job, tallies: Tallies, say: Say) -> _Process:
        process = await start(_PROGRAM)
        started = cls(process, tallies, say)
        started._write(pickle.dumps((opened, job)))
        return started

    @property
    def under_way(self) -> int:
        return len(self._open)

    async def call(self, item: Any) -> Any:
        """The result of `item`. Raises what the worker raised, ProcessLost where its process died."""
        if self.gone is not None:
            raise self.gone
        self._number = number = self._number + 1
        result = self._open[number] = asyncio.get_running_loop().create_future()
        self._outbox.put(_Call(number, item))
        try:
            return await result
        except asyncio.CancelledError:
            self._outbox.put(_Cancel(number))
            raise
        finally:
            self._open.pop(number, None)

    async def close(self) -> None:
        """Have it finish the calls that it is paying for, and end."""
        if self._process.returncode is None:
            await stop(self._process)
        await self._hearing

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None, "it was asked for"
        with suppress(BrokenPipeError, ConnectionResetError):  # it died, as will be heard
            self._process.stdin.write(data)

    async def _hear(self) -> None:
        assert self._process.stdout is not None, "it was asked for"
        while (frame := await received(self._process.stdout)) is not None:
            if isinstance(frame, _Said):
                self._say(frame.line)
            elif isinstance(frame, Failed):
                self._end(frame.error())
                return
            else:
                for returned in frame:
                    self._return(returned)
        self._end(ProcessLost(ending(await self._process.wait())))

    def _return(self, returned: _Returned) -> None:
        self._tallies.add(returned.tallies)
        result = self._open.get(returned.number)
        if result is None or result.done():
            return
        if returned.failed is None:
            result.set_result(returned.result)
        else:
            result.set_exception(returned.failed.error())

    def _end(self, why: BaseException) -> None:
        self.gone = why
        for result in self._open.values():
            if not result.done():
                result.set_exception(why)


class WorkerPool(Generic[Item, Result]):
    """Several processes that work side by side: a worker like another, which `async with` opens."""

    def __init__(
        self,
        opened: OpenWorker[Job, Item, Result],
        job: Job,
        count: int,
        each: int,
        say: Say,
        tallies: Tallies | None = None,
    ) -> None:
        """`count` processes, each of which opens its worker for `job` and has at most `each` items under way.

        `say` hears what they say, and of each that is lost. `tallies` are those that what they ask is added to.
        """
        self.tallies = Tallies() if tallies is None else tallies
        self._start = lambda: _Process.start(opened, job, self.tallies, say)
        self._count, self._each, self._say = count, each, say
        self._room = asyncio.Semaphore(each)
        self._workers: list[_Process] = []
        self._announced: list[ProcessLost] = []
        self._starting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._workers.append(await self._start())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._workers))

    async def call(self, item: Item) -> Result:
        """The result of `item`, by the worker with the most room.

        Raises what it raised, and what keeps another from working; ProcessLost where none is left, or a second one is
        lost with the same item.
        """
        async with self._room:
            try:
                result = await self._least_busy().call(item)
            except ProcessLost:
                result = await self._least_busy().call(item)
            if self._starting is None:
                self._starting = asyncio.create_task(self._start_others())
            return result

    def _least_busy(self) -> _Process:
        """The worker with the most room; of each that was lost it is said once that others go on.

        Raises what keeps a process from working that nobody killed, and ProcessLost where none is left.
        """
        if self._starting is not None and self._starting.done():
            self._starting.result()
        living = [worker for worker in self._workers if worker.gone is None]
        for gone in [worker.gone for worker in self._workers if worker.gone is not None]:
            if not (living and isinstance(gone, ProcessLost)):
                raise gone
            if gone not in self._announced:
                self._announced.append(gone)
                self._say(f"{gone}; {len(living)} of {self._count} go on with what it had under way")
        return min(living, key=lambda worker: worker.under_way)

    async def _start_others(self) -> None:
        for _ in range(self._count - 1):
            self._workers.append(await self._start())
            for _ in range(self._each):
                self._room.release()


def main() -> None:
    """The program of a worker's process."""
    parent, told = pipes()

    def write(data: bytes) -> None:
        told.write(data)
        told.flush()

    def say(line: str) -> None:
        write(framed(_Said(line)))

    opened, job = pickle.load(parent)
    try:
        loop.run(_work(opened(job, say), parent, write))
    except KeyboardInterrupt:
        end_as_told()
    except BaseException as error:
        write(framed(Failed.of(error)))


async def _work(
    opened: AbstractAsyncContextManager[Worker[Any, Any]], parent: BinaryIO, write: Callable[[bytes], None]
) -> None:
    """Serve the parent until it says stop, by a signal."""
    frames: asyncio.Queue[list[_Call | _Cancel]] = asyncio.Queue()
    outbox = Outbox(write)
    hearing = threading.Thread(
        target=_hear_parent, args=(parent, asyncio.get_running_loop(), frames), name="parent-watch", daemon=True
    )
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(opened)
        under_way: dict[int, asyncio.Task[None]] = {}
        stack.callback(outbox.flush)
        stack.push_async_callback(_cancel_all, under_way)
        told = Tallies()

        async def work(number: int, item: Any) -> None:
            nonlocal told
            result, failed = None, None
            try:
                result = await worker.call(item)
            except Exception as error:
                failed = Failed.of(error)
            finally:
                del under_way[number]
            since, told = worker.tallies.since(told), worker.tallies.copy()
            outbox.put(_Returned(number, result, failed, since))

        hearing.start()
        while True:
            for said in await frames.get():
                if isinstance(said, _Call):
                    under_way[said.number] = asyncio.create_task(work(said.number, said.item))
                elif (task := under_way.get(said.number)) is not None:
                    task.cancel()


async def _cancel_all(under_way: dict[int, asyncio.Task[None]]) -> None:
    tasks = list(under_way.values())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _hear_parent(parent: BinaryIO, running: asyncio.AbstractEventLoop, frames: asyncio.Queue[Any]) -> None:
    """Pass on what the parent says; end this process when the parent has ended, as if it had been killed."""
    with suppress(RuntimeError):  # the loop has ended: so will this process
        while (frame := read_frame(parent)) is not None:
            running.call_soon_threadsafe(frames.put_nowait, frame)
        os._exit(1)
