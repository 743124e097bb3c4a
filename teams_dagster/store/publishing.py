"""Replacing a DuckDB file under its readers, and only when nobody writes to it.

A draft is made beside the file and renamed over it: readers keep the state they opened, and a kill at any moment
leaves the old file or the new one. A refresher that cannot proceed says so instead of waiting for people.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

import duckdb
from filelock import Timeout

from teams_dagster.core.files import locked, put_in_place

_log = logging.getLogger(__name__)

T = TypeVar("T")

_MAKING_S = 60.0
"""How long another process that makes the file is waited for."""


class NotNow(Exception):
    """The file cannot be replaced at the moment; the message says why."""


@contextmanager
def lock(path: Path, wait_s: float) -> Generator[None]:
    """One refresher at a time. The lock dies with its process. Raises NotNow after `wait_s`."""
    with ExitStack() as locks:
        try:
            locks.enter_context(locked(path.with_name(f".{path.name}.lock"), timeout_s=wait_s))
        except Timeout:
            raise NotNow(f"another process has been refreshing {path} for {wait_s:g} s") from None
        for leftover in (*path.parent.glob(f".{path.name}.draft*"), *path.parent.glob(f".{path.name}.held*")):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
        yield


@contextmanager
def read_lock(path: Path) -> Generator[duckdb.DuckDBPyConnection | None]:
    """A read-only connection that keeps writers out while it is open; None when there is no file.

    A file that is no DuckDB database, or a damaged one, is moved aside: then there is none. Raises NotNow when someone
    has it open for writing.
    """
    wal = path.with_name(f"{path.name}.wal")
    if not path.exists():
        wal.unlink(missing_ok=True)  # of a file that was deleted: it must not be applied to the next one
        yield None
        return
    with ExitStack() as opened:
        try:
            if wal.exists():
                with duckdb.connect(path) as writer:  # fails while its writer lives; else finishes a dead one's work
                    writer.execute("checkpoint")
            opened.enter_context(duckdb.connect(path, read_only=True))
            reader = opened.enter_context(_connect_as_it_is(path))
        except (duckdb.Error, OSError) as error:
            if isinstance(error, duckdb.ConnectionException | OSError) or _LOCKED in str(error):
                raise NotNow(f"{path} is open elsewhere: {error}") from error
            set_aside(path, error)
            reader = None
        yield reader


def _connect_as_it_is(path: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection to the file that is at `path` now.

    Inside one process DuckDB answers a known path from the file it opened first, which may have been replaced since. A
    name of its own leads to the file as it is, and to its lock; once it is open it needs no name.
    """
    while True:
        alias = path.with_name(f".{path.name}.held-{os.getpid()}-{time.monotonic_ns()}")
        os.link(path, alias)
        try:
            return duckdb.connect(alias, read_only=True)
        except duckdb.IOException:
            if alias.exists():  # else a refresher cleared it away, as it does with what a kill left
                raise
        finally:
            alias.unlink(missing_ok=True)


_LOCKED = "Could not set lock"
"""How DuckDB begins to say that another process has a file open; its exception's class tells too little."""


_CORRUPT, _CUT_OFF = "Corrupt database file", "Could not read "
"""How DuckDB says that a block of a file is not what was written; its exception's class tells too little."""


def read_whole(path: Path, read: Callable[[], T], remake: Callable[[], object]) -> T:
    """What `read` gives of the file at `path`; where it meets a damaged block, of the file that `remake` makes anew.

    A block is looked at when it is first read, so that a file can be opened, and be up to date, with damage in it. The
    damaged file is kept under another name, which is said. Raises what `read` and `remake` raise, and NotNow.
    """
    try:
        return read()
    except duckdb.Error as error:
        if not _is_damage(error, path):
            raise
        with lock(path, _MAKING_S):
            set_aside(path, error)
    remake()
    return read()


def _is_damage(error: duckdb.Error, path: Path) -> bool:
    if isinstance(error, duckdb.InternalException | duckdb.FatalException | duckdb.SerializationException):
        return True
    said = str(error)
    return _CORRUPT in said or (_CUT_OFF in said and path.name in said)


def set_aside(path: Path, error: duckdb.Error) -> None:
    """Keep a file that cannot be read under another name, with what its last writer left beside it."""
    aside = path.with_name(f"{path.name}.unreadable-{time.time_ns()}")
    _log.warning("%s cannot be read (%s): it is kept as %s, and made again", path, str(error).strip(), aside.name)
    for end in (".wal", ""):
        with suppress(FileNotFoundError):
            path.with_name(f"{path.name}{end}").rename(aside.with_name(f"{aside.name}{end}"))


@contextmanager
def draft(path: Path, *, copied: bool) -> Generator[Path]:
    """A place for the next version of `path`, beside it; a copy of it when `copied`. Publish it inside the block."""
    place = path.with_name(f".{path.name}.draft")
    for left in (place, place.with_name(f"{place.name}.wal")):
        left.unlink(missing_ok=True)  # of a try that failed
    if not copied:
        yield place
        return
    # Closing any descriptor of a file drops its process's locks on it: this one stays open until it is replaced.
    with path.open("rb") as source:
        with place.open("wb") as target:
            _copy(source, target)
        yield place


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    """Copy a file whole. Linux does it in the kernel: eight times as fast, and blocks are shared where they can be."""
    if sys.platform == "linux":
        left = os.fstat(source.fileno()).st_size
        try:
            while left > 0 and (copied := os.copy_file_range(source.fileno(), target.fileno(), left)):
                left -= copied
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL):
                raise
    shutil.copyfileobj(source, target, 1 << 20)  # what the kernel left


def temp_dir(place: Path) -> Path:
    """Where DuckDB puts what does not fit into memory while it writes the draft at `place`."""
    return place.with_name(f"{place.name}.spill")


def publish(place: Path, path: Path) -> None:
    """Put a draft, closed and checkpointed, in the place of `path`."""
    if place.with_name(f"{place.name}.wal").exists():
        raise RuntimeError(f"{place} was not checkpointed")
    put_in_place(place, path)
