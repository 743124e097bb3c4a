"""Work for processes of their own, a program that has some done, and waiting for what others do."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from teams_dagster.llm import loop
from teams_dagster.llm.processes import Tell, in_processes


class Dry(Exception):
    """An error that is made of something else than its message."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"all {limit} are spent")


async def say_thrice(job: int, tell: Tell) -> None:
    """Tell `(job, number, process)`; print besides, as a library might."""
    for number in range(3):
        print("not a frame")
        tell((job, number, os.getpid()))


async def run_dry(job: str, tell: Tell) -> None:
    """One has nothing left; the other waits for what will not come, and says when it is told to stop."""
    if job == "dry":
        raise Dry(3)
    await wait_forever(Path(job), tell)


async def fail_strangely(job: object, tell: Tell) -> None:
    """Raise what cannot be sent."""
    raise ValueError("no way out", lambda: None)


async def die(job: object, tell: Tell) -> None:
    """As the kernel ends a process when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


async def ignore_interrupts(job: object, tell: Tell) -> None:
    """What a terminal sends to all its processes is the parent's to hear."""
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.05)
    tell("still here")


async def wait_forever(job: Path, tell: Tell) -> None:
    """Write down which process this is, and whether it could finish what it was doing."""
    note = job / str(os.getpid())
    note.write_text("begun", encoding="utf-8")
    tell(None)
    try:
        await asyncio.sleep(3_600)
    finally:
        note.write_text("finished", encoding="utf-8")


def main() -> None:
    """Have two processes wait forever; say when both do."""
    begun: list[Any] = []

    def heard(value: Any) -> None:
        begun.append(value)
        if len(begun) == 2:
            print("begun", flush=True)

    loop.run(in_processes(wait_forever, [Path(sys.argv[1])] * 2, heard))


def ends(process: int, within_s: float = 10.0) -> bool:
    """Whether a process of this machine ends in time; one that nobody has asked how it ended has."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
        except OSError:
            return True
        if status.rpartition(")")[2].split()[0] in ("Z", "X"):
            return True
        time.sleep(0.01)
    return False


def children(program: str) -> list[int]:
    """The processes that this one started whose command line names `program`."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # the thread has ended
            for child in (task / "children").read_text(encoding="utf-8").split():
                with suppress(OSError):  # the child has
                    if program in Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8"):
                        found.append(int(child))
    return found


def until(
    condition: Callable[[], bool],
    patience_s: float = 90.0,
    otherwise: str = "nothing happened",
    *,
    every_s: float = 0.002,
) -> None:
    """Wait for something to become true. Raises AssertionError, which says what is true `otherwise`."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"{otherwise} in {patience_s:g} s"
        time.sleep(every_s)


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
