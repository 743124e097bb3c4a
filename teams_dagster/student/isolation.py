"""A training's process: it dies with its parent, and has its folder for itself."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PR_SET_PDEATHSIG = 1
PATIENCE_S = 5.0
"""How long a folder's former owner, killed a moment ago, may take to be gone: a GPU's memory is given back slowly."""
KILLED_FIRST = "1000"
"""Where memory runs out, the kernel kills the process with the highest of these (at most 1000)."""


class FolderInUse(RuntimeError):
    """Another training writes to the folder."""


class ParentGone(RuntimeError):
    """The process that started this one had ended before this one could say that it wants to end with it."""


def die_with(parent: int) -> None:
    """The kernel kills this process as soon as `parent`, its parent, is gone, however it went.

    Only Linux can: elsewhere nothing happens here, and a training whose parent was killed runs to its end; the lock on
    its folder then keeps a second one away. Raises ParentGone when it is gone already.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise ParentGone(f"process {parent}, which asked for this training, has ended")


def be_killed_first() -> None:
    """Where memory runs out, the kernel takes this process and not the one that waits for it. Linux only."""
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text(KILLED_FIRST, encoding="ascii")


@contextmanager
def alone_in(lock: Path, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Holds `lock` for the block; the kernel gives it back when the process dies.

    Raises FolderInUse, with the owner's process id, when another process still holds it after `patience_s`.
    """
    with lock.open("a+", encoding="ascii") as file:
        deadline = time.monotonic() + patience_s
        while not _locked(file.fileno()):
            if time.monotonic() > deadline:
                file.seek(0)
                raise FolderInUse(
                    f"process {file.read().strip() or '?'} trains in {lock.parent}: wait for its end, or end it"
                )
            time.sleep(0.05)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
