"""A training's process: it dies with its parent, and has its folder for itself."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import Timeout

from teams_dagster.core.files import locked

TRAINING_LOCK = "training.lock"
"""A file of the data folder: who holds it trains a student that takes the whole machine."""
PR_SET_PDEATHSIG = 1
PATIENCE_S = 5.0
"""How long a folder's former owner, killed a moment ago, may take to be gone: a GPU's memory is given back slowly."""
KILLED_FIRST = "1000"
"""Where memory runs out, the kernel kills the process with the highest of these (at most 1000)."""


class FolderInUse(RuntimeError):
    """Another training writes to the folder."""


class ParentGone(RuntimeError):
    """The process that started this one had ended before this one could say that it wants to end with it."""


def die_with(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """The kernel sends this process `by` as soon as `parent`, its parent, is gone, however it went.

    Only Linux can: elsewhere nothing happens here, and a training whose parent was killed runs to its end; the lock on
    its folder then keeps a second one away. Raises ParentGone when it is gone already.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, by, 0, 0, 0)
    if os.getppid() != parent:
        raise ParentGone(f"process {parent}, which asked for this training, has ended")


def be_killed_first() -> None:
    """Where memory runs out, the kernel takes this process and not the one that waits for it. Linux only."""
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text(KILLED_FIRST, encoding="ascii")


@contextmanager
def alone_in(lock: Path, *, patience_s: float = PATIENCE_S) -> Generator[None]:
    """Holds `lock` for the block; the kernel gives it back when the process dies.

    Raises FolderInUse, with the owner's process id, when another process still holds it after `patience_s`.
    """
    with ExitStack() as locks:
        try:
            locks.enter_context(locked(lock, timeout_s=patience_s))
        except Timeout:
            owner = lock.read_text(encoding="ascii").strip() or "?"
            raise FolderInUse(f"process {owner} trains in {lock.parent}: wait for its end, or end it") from None
        lock.write_text(str(os.getpid()), encoding="ascii")
        yield


@contextmanager
def one_training_at_a_time(folder: Path, waiting: Callable[[str], None]) -> Generator[None]:
    """Waits until no other training over the data folder `folder` is in this block; `waiting` is told.

    Not a pool of Dagster's: the place of a run that was killed would stay taken where no daemon runs.
    """
    with locked(
        folder / TRAINING_LOCK,
        waiting=lambda: waiting("another model is being trained over this data folder: waiting for it"),
    ):
        yield
