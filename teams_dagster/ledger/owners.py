"""Who holds a claim, and whether that process still lives.

A process renews its lease while it lives. On its own machine it can be seen whether it lives, and its lease says
nothing: a laptop that slept, or a clock that was set, ends every lease at once. Elsewhere it is dead when its lease is
over. Batches hold claims too, for days and without a lease.
"""

from __future__ import annotations

import os
import socket
import uuid
from functools import cache
from pathlib import Path

LEASE_S = 60.0
"""A process on another machine that has not renewed its lease for so long is dead."""

RENEW_EVERY_S = 10.0

_BATCH = "batch/"

_DEAD = ("Z", "X")
"""States of a process that runs no more."""


def new_owner() -> str:
    """A name for this process's claims: where it runs, which process it is, and a random part."""
    return f"{_machine()}/{os.getpid()}/{_started(os.getpid())}/{uuid.uuid4().hex[:12]}"


def batch_owner(batch_id: str) -> str:
    """The name under which a batch holds claims."""
    return f"{_BATCH}{batch_id}"


def holder_of(owner: str, batch_id: str | None) -> str:
    """The name under which the process `owner` holds claims, for a batch or for itself."""
    return owner if batch_id is None else batch_owner(batch_id)


def batch_of(owner: str) -> str | None:
    """The id of the batch that `owner` is, or None."""
    return owner.removeprefix(_BATCH) if owner.startswith(_BATCH) else None


def is_dead(owner: str, lease_until: int | None, now: int) -> bool:
    """Whether `owner` cannot be asking any more. Times in microseconds; a lease of None does not end."""
    if lease_until is None:
        return False
    machine, _, process = owner.partition("/")
    if machine != _machine():
        return lease_until < now
    number, started, _ = process.split("/")
    return _gone(number, started) or (not started and lease_until < now)


def _gone(number: str, started: str) -> bool:
    """Whether the process of this machine that had this number and was `started` then has ended."""
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _started(int(number)) != started


@cache
def _machine() -> str:
    """This machine, boot and process namespace: the room in which a process number means something."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    parts = [socket.gethostname().replace("/", "-")]
    parts += [boot.read_text(encoding="ascii").strip()] if boot.exists() else []
    parts += [os.readlink(namespace)] if namespace.exists() else []
    return "+".join(parts)


def _started(process: int) -> str:
    """When a process was started, in clock ticks since boot: tells it from a later one of the same number.

    Empty for one that is dead already, though its parent has not asked how it ended.
    """
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = status.rpartition(")")[2].split()
    return "" if fields[0] in _DEAD else fields[19]
