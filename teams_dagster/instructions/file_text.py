"""The text of a file: unpacked, decoded, its lines ended as everywhere."""

from __future__ import annotations

import re
from pathlib import Path

from teams_dagster.instructions.file_rows import SeedFileError

PACKED = {".gz": "gzip", ".zst": "zstd"}
"""Suffixes of compressed files, and the codec of each."""

_BYTE_ORDER_MARKS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}

_LFS_POINTER = re.compile(r"\Aversion https://git-lfs\.github\.com/spec/")

_LOOKED_AT = 1_000
"""Bytes in which every second one is nearly always NUL where Latin text is UTF-16."""


def text_of(path: Path) -> str:
    """The text of a file. Bytes that are not UTF-8 become lone surrogates (PEP 383), to be judged with their row.

    UTF-16 and UTF-32 are told by their mark, and UTF-16 also by its NULs. Raises SeedFileError naming the file.
    """
    content = _content(path)
    encoding = _encoding(content)
    try:
        text = content.decode(encoding, "surrogateescape" if encoding == "utf-8" else "strict")
    except UnicodeDecodeError as error:
        raise SeedFileError(f"{path.name}: is damaged {encoding.upper()} ({error}). Save it as UTF-8.") from error
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise SeedFileError(f"{path.name}: is empty. Give it one instruction a row.")
    if _LFS_POINTER.match(text):
        raise SeedFileError(f"{path.name}: is a Git LFS pointer, not the file. Fetch it with `git lfs pull`.")
    return text if "\n" in text else text.replace("\r", "\n")


def _content(path: Path) -> bytes:
    codec = PACKED.get(path.suffix.lower())
    try:
        if codec is None:
            return path.read_bytes()
        import pyarrow as pa

        with pa.input_stream(str(path), compression=codec) as stream:
            return stream.read()
    except OSError as error:
        if codec is not None and path.is_file():
            raise SeedFileError(f"{path.name}: cannot be unpacked as {codec} ({error}). Pack it again.") from error
        raise SeedFileError(f"{path.name}: cannot be read ({error.strerror}). Check its permissions.") from error


def _encoding(content: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return encoding
    start = content[:_LOOKED_AT]
    for at, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(content) % 2 == 0 and len(start) > 1 and start[at::2].count(0) > 0.8 * len(start[at::2]):
            return encoding
    return "utf-8"
