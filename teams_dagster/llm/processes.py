"""Work in processes of its own: each tells how far it is, and none outlives the one that started it.

Such a process is a fresh interpreter that imports what its work needs and nothing else, whatever program started it.
Work and its job come to it through its standard input, which stays open: where that ends, the parent has died, and the
process ends at once, as if it had been killed. What it tells goes back through its standard output, framed; what
libraries print goes to standard error.

This is not a `ProcessPoolExecutor` that spawns: that imports the program which started it again (under Dagster 12.9 s
and 64 MB until the first word, here 1.5 s and 22 MB), breaks where an error cannot be made from its message alone, does
not say which signal ended a process, and can neither report progress nor stop what has begun.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import struct
import sys
import threading
import traceback
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from teams_dagster.llm import loop

Job = TypeVar("Job")

Tell = Callable[[Any], None]
"""Sends a value to the parent."""

Work = Callable[[Job, Tell], Coroutine[Any, Any, None]]
"""What a process does: a function of a module other than `__main__`, so that another process finds it by its name."""

GRACE_S = 10.0
"""How long a process that is told to stop may take to finish the calls that are under way."""

_PROGRAM = "from teams_dagster.llm.processes import main; main()"

_LENGTH = struct.Struct("!Q")


class ProcessLost(RuntimeError):
    """A process ended without saying how."""


class InAnotherProcess(Exception):
    """The traceback of an error in the process where it was raised, as text."""


class ProcessFailed(RuntimeError):
    """An error of a process that cannot be sent as it was."""


@dataclass(frozen=True)
class _Told:
    value: Any


@dataclass(frozen=True)
class _Failed:
    """An error, to be raised in the parent as what it was: class, message and attributes."""

    kind: type[BaseException]
    args: tuple[Any, ...]
    state: Mapping[str, Any]
    where: str

    def error(self) -> BaseException:
        """The same error, caused by what led to it there. Its `__init__` may take other things than its `args`."""
        error = self.kind.__new__(self.kind, *self.args)
        error.args = self.args
        error.__dict__.update(self.state)
        error.__cause__ = InAnotherProcess(f"\n{self.where}")
        return error


@dataclass(frozen=True)
class _Finished:
    """All is done."""


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", _PROGRAM), stdin=PIPE, stdout=PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    assert process.stdin is not None, "it was asked for"
    assert process.stdout is not None, "it was asked for"
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # it died, as will be seen
            process.stdin.write(pickle.dumps((work, job)))
            await process.stdin.drain()
        while not isinstance(frame := await _received(process.stdout), _Finished):
            if frame is None:
                raise ProcessLost(_ending(await process.wait()))
            if isinstance(frame, _Failed):
                raise frame.error()
            heard(frame.value)
        await process.wait()
    finally:
        if process.returncode is None:
            await _stop(process)


async def _received(stream: asyncio.StreamReader) -> _Told | _Failed | _Finished | None:
    """The next frame; None when there is no further one."""
    try:
        (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
        return pickle.loads(await stream.readexactly(length))
    except asyncio.IncompleteReadError:
        return None


async def _stop(process: Process) -> None:
    """Have it end: gently, then not."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), GRACE_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _ending(code: int) -> str:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"a process of this step {how} before its work was done: run the same step again, it goes on from there"


def _framed(value: object) -> bytes:
    data = pickle.dumps(value)
    return _LENGTH.pack(len(data)) + data


def main() -> None:
    """The program of such a process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # a terminal's Ctrl-C: the parent says what follows
    parent, told = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def tell(value: object) -> None:
        told.write(_framed(_Told(value)))
        told.flush()

    work, job = pickle.load(parent)
    threading.Thread(target=_end_with, args=(parent.fileno(),), name="parent-watch", daemon=True).start()
    try:
        loop.run(work(job, tell))
        end = _framed(_Finished())
    except KeyboardInterrupt:  # told to stop
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
        return
    except BaseException as error:
        end = _failure(error)
    told.write(end)
    told.flush()


def _end_with(parent: int) -> None:
    """End this process when its parent has: nothing may go on writing where the next run writes."""
    os.read(parent, 1)
    os._exit(1)


def _failure(error: BaseException) -> bytes:
    where = "".join(traceback.format_exception(error))
    try:
        frame = _framed(_Failed(type(error), error.args, error.__dict__, where))
        pickle.loads(frame[_LENGTH.size :])
    except Exception:
        kind = ProcessFailed(f"{type(error).__name__}: {error}")
        frame = _framed(_Failed(ProcessFailed, kind.args, {}, where))
    return frame
