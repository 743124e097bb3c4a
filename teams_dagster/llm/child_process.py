"""A process of one's own: how it is started, what is said to it and by it, and how it ends.

Such a process is a fresh interpreter that imports what its work needs and nothing else, whatever program started it.
What it is to do comes to it through its standard input, which stays open: where that ends, the parent has died, and the
process ends at once, as if it had been killed. What it says goes back through its standard output, in frames; what
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
import traceback
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

GRACE_S = 10.0
"""How long a process that is told to stop may take to finish the calls that are under way."""

LENGTH = struct.Struct("!Q")
"""What a frame begins with: how many bytes follow."""


class ProcessLost(RuntimeError):
    """A process ended without saying how."""


class InAnotherProcess(Exception):
    """The traceback of an error in the process where it was raised, as text."""


class ProcessFailed(RuntimeError):
    """An error of a process that cannot be sent as it was."""


@dataclass(frozen=True)
class Failed:
    """An error, to be raised in the parent as what it was: class, message and attributes."""

    kind: type[BaseException]
    args: tuple[Any, ...]
    state: Mapping[str, Any]
    where: str

    @classmethod
    def of(cls, error: BaseException) -> Failed:
        """`error` as it can be sent: as ProcessFailed where it cannot be as it was."""
        where = "".join(traceback.format_exception(error))
        found = cls(type(error), error.args, error.__dict__, where)
        try:
            pickle.loads(pickle.dumps(found))
        except Exception:
            kind = ProcessFailed(f"{type(error).__name__}: {error}")
            return cls(ProcessFailed, kind.args, {}, where)
        return found

    def error(self) -> BaseException:
        """The same error, caused by what led to it there. Its `__init__` may take other things than its `args`."""
        error = self.kind.__new__(self.kind, *self.args)
        error.args = self.args
        error.__dict__.update(self.state)
        error.__cause__ = InAnotherProcess(f"\n{self.where}")
        return error


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def start(program: str) -> Process:
    """A process that runs the Python `program`, with this one's import path."""
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", program), stdin=PIPE, stdout=PIPE, env={**os.environ, "PYTHONPATH": path}
    )


async def received(stream: asyncio.StreamReader) -> Any:
    """The next frame; None when there is no further one."""
    try:
        (length,) = LENGTH.unpack(await stream.readexactly(LENGTH.size))
        return pickle.loads(await stream.readexactly(length))
    except asyncio.IncompleteReadError:
        return None


def read_frame(stream: BinaryIO) -> Any:
    """The next frame, waited for; None when there is no further one."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    data = stream.read(length)
    return pickle.loads(data) if len(data) == length else None


def framed(value: object) -> bytes:
    """`value` as it is sent."""
    data = pickle.dumps(value)
    return LENGTH.pack(len(data)) + data


class Outbox:
    """What is put here in one pass of the running loop goes out as one frame, a list.

    A frame costs a write, a wake-up and a read, which is more than what most values cost.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._values: list[object] = []

    def put(self, value: object) -> None:
        """Send `value` at the end of this pass of the loop."""
        if not self._values:
            asyncio.get_running_loop().call_soon(self.flush)
        self._values.append(value)

    def flush(self) -> None:
        """Send what was put here and has not gone out yet."""
        values, self._values = self._values, []
        if values:
            self._write(framed(values))


async def stop(process: Process) -> None:
    """Have it end: gently, then not."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), GRACE_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def ending(code: int) -> str:
    """How a process ended that should not have."""
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"a process of this step {how} before its work was done: run the same step again, it goes on from there"


def pipes() -> tuple[BinaryIO, BinaryIO]:
    """In such a process, where it hears its parent and where it speaks to it.

    A terminal's Ctrl-C is not heard: the parent says what follows.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    parent, told = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return parent, told


def end_as_told() -> None:
    """In such a process, end by the signal that told it to stop."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
