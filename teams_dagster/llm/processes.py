"""Work in processes of its own: each tells how far it is, and none outlives the one that started it."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from teams_dagster.llm import loop
from teams_dagster.llm.child_process import (
    Failed,
    ProcessLost,
    end_as_told,
    ending,
    framed,
    pipes,
    received,
    start,
    stop,
)

Job = TypeVar("Job")

Tell = Callable[[Any], None]
"""Sends a value to the parent."""

Work = Callable[[Job, Tell], Coroutine[Any, Any, None]]
"""What a process does: a function of a module other than `__main__`, so that another process finds it by its name."""

_PROGRAM = "from teams_dagster.llm.processes import main; main()"


@dataclass(frozen=True)
class _Told:
    value: Any


@dataclass(frozen=True)
class _Finished:
    """All is done."""


async def in_processes(work: Work[Job], jobs: Sequence[Job], heard: Callable[[Any], None]) -> None:
    """Do `work` on each of `jobs`, all at once, each in a process of its own; `heard` gets what they tell.

    The first error ends the others and is raised as it was, ProcessLost where a process was killed. When the caller is
    cancelled, they are told to stop, and have stopped when this returns.
    """
    running = [asyncio.create_task(_in_process(work, job, heard)) for job in jobs]
    try:
        await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        for task in running:
            if task.done():
                task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _in_process(work: Work[Job], job: Job, heard: Callable[[Any], None]) -> None:
    process = await start(_PROGRAM)
    assert process.stdin is not None, "it was asked for"
    assert process.stdout is not None, "it was asked for"
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # it died, as will be seen
            process.stdin.write(pickle.dumps((work, job)))
            await process.stdin.drain()
        while not isinstance(frame := await received(process.stdout), _Finished):
            if frame is None:
                raise ProcessLost(ending(await process.wait()))
            if isinstance(frame, Failed):
                raise frame.error()
            heard(frame.value)
        await process.wait()
    finally:
        if process.returncode is None:
            await stop(process)


def main() -> None:
    """The program of such a process."""
    parent, told = pipes()

    def tell(value: object) -> None:
        told.write(framed(_Told(value)))
        told.flush()

    work, job = pickle.load(parent)
    threading.Thread(target=_end_with, args=(parent.fileno(),), name="parent-watch", daemon=True).start()
    try:
        loop.run(work(job, tell))
        end = framed(_Finished())
    except KeyboardInterrupt:
        end_as_told()
        return
    except BaseException as error:
        end = framed(Failed.of(error))
    told.write(end)
    told.flush()


def _end_with(parent: int) -> None:
    """End this process when its parent has: nothing may go on writing where the next run writes."""
    os.read(parent, 1)
    os._exit(1)
