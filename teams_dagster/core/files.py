"""Files that a reader sees whole or not at all, their hashes, and locks that die with their process."""

from __future__ import annotations

import codecs
import hashlib
import os
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def read_text(path: Path) -> str:
    """The text of a file that any editor wrote: UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    Raises OSError, and UnicodeDecodeError for what is none of these.
    """
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # the first begins as that of UTF-16 does
        return content.decode("utf-32")
    if content[:3] == b"\0\0\0" or content[1:4] == b"\0\0\0":
        return content.decode("utf-32-be" if content.startswith(b"\0") else "utf-32-le")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    if b"\0" in content[:2]:  # the first character is ASCII in every file that this project reads as text
        return content.decode("utf-16-be" if content.startswith(b"\0") else "utf-16-le")
    return content.decode("utf-8-sig")


def why_not_written(folder: Path) -> str | None:
    """What keeps files from being written into `folder`, as the end of a sentence; None where nothing does."""
    if not folder.is_dir():
        return "is no folder"
    found = os.statvfs(folder)
    if found.f_flag & os.ST_RDONLY:
        return "lies in a file system that can only be read"
    if found.f_bavail * found.f_frsize < _LEAST_ROOM:
        return "lies on a disk that is full"
    return None if os.access(folder, os.W_OK | os.X_OK) else "cannot be written"


_LEAST_ROOM = 2**17
"""Bytes that a database takes to open one of its own files."""


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A draft beside `path` that takes its place, whole, when the block ends without an error; else it is removed.

    A reader sees the old file or the new one, also after a crash: see `put_in_place`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        yield draft
        put_in_place(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def put_in_place(draft: Path, path: Path) -> None:
    """Rename a finished draft over `path`: the draft is durable before, the new name after."""
    _sync(draft)
    draft.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace `path` with `content`, text as UTF-8."""
    with replacing(path) as draft:
        draft.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256s(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, by its path from there, in order."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


@contextmanager
def locked(path: Path, *, timeout_s: float = -1, waiting: Callable[[], None] = lambda: None) -> Generator[None]:
    """Hold the lock file at `path` for the block; the kernel releases it when the process dies, however it dies.

    `waiting` is called once where another process holds it. What the file holds is the owner's. Raises
    filelock.Timeout after `timeout_s` seconds (below 0 there is no limit), and OSError where the file system has no
    such locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire(timeout=timeout_s)
    try:
        yield
    finally:
        lock.release()
