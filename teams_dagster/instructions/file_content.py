"""What a file holds, told by its first bytes and not by its name: unpacked, and whatever it is called."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from teams_dagster.instructions.file_rows import SeedFileError

PACKED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}
"""Suffixes of compressed files, and the codec of each."""

PARQUET, ARROW, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
"""How tables begin."""

_CODECS = {b"\x1f\x8b\x08": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_ZIP = b"PK\x03\x04"
_WORKBOOK = "an Excel workbook: save the sheet as `CSV UTF-8`"

_PICKLES = tuple(b"\x80" + bytes([version]) for version in (2, 3, 4, 5))

_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file. Fetch it with `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer, not the file. Fetch it with `git annex get`"),
    (b"# xet version", "a Xet pointer, not the file. Download it with `hf download`"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"{_WORKBOOK} (this is the old .xls, or another file of Office)"),
    (b"SQLite format 3\0", "an SQLite database: export the table as CSV"),
    (b"%PDF-", "a PDF document: write the instructions as JSON lines"),
    (b"\x89PNG\r\n\x1a\n", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"ORC", "an ORC table: write it as Parquet"),
    (b"Obj\x01", "an Avro table: write it as Parquet"),
    (b"FEA1", "a Feather table of version 1: write it as Parquet"),
    (b"PK\x05\x06", "an empty zip archive: pack it again"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it"),
    (b"\x93NUMPY", "a NumPy array: write the instructions as JSON lines"),
    *((mark, "a Python pickle, which is never opened: write JSON lines") for mark in _PICKLES),
)
"""What holds no rows, by how it begins, and what to do."""

_PAGES = (b"<!doctype", b"<html", b"<?xml")
_TAR = (257, b"ustar")
_DUCKDB = (8, b"DUCK")
_MOST_LAYERS = 3
_LOOKED_AT = 4096


@dataclass(frozen=True)
class FileContent:
    """The content of a file, unpacked."""

    name: str
    """What messages call it."""
    suffix: str
    """Of its name, in lower case, without that of its packing; "" where it has none."""
    path: Path
    data: bytes | None
    """None for a table that lies unpacked at `path`, and need not be read whole."""

    @property
    def begins(self) -> bytes:
        """Its first bytes."""
        return _head(self.path) if self.data is None else self.data[:_LOOKED_AT]


def content_of(path: Path) -> FileContent:
    """What the file at `path` holds. Raises SeedFileError where it cannot be read or unpacked, or holds no rows."""
    name, suffix = path.name, path.suffix.lower()
    try:
        begins = _head(path)
        data = None if begins.startswith((PARQUET, ARROW, ARROW_STREAM)) else path.read_bytes()
    except OSError as error:
        raise SeedFileError(f"{name}: cannot be read ({error.strerror}). Check its permissions.") from error
    codec = PACKED.get(suffix)
    if codec is not None:
        suffix = PurePosixPath(path.stem).suffix.lower()
        _check_packed(name, begins, codec)
    for _ in range(_MOST_LAYERS):
        if data is None or not data.startswith((*_CODECS, _ZIP)):
            break
        if data.startswith(_ZIP):
            member, data = _member(name, data)
            suffix = PurePosixPath(member).suffix.lower()
        else:
            data = _unpacked(name, data)
    _check_holds_rows(name, begins if data is None else data[:_LOOKED_AT])
    return FileContent(name, suffix, path, data)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LOOKED_AT)


def _check_packed(name: str, begins: bytes, codec: str) -> None:
    """Raises SeedFileError where a file is called as if it were packed, and is not."""
    if not begins or any(begins.startswith(mark) and packed == codec for mark, packed in _CODECS.items()):
        return
    _check_holds_rows(name, begins)
    found = next((packed for mark, packed in _CODECS.items() if begins.startswith(mark)), "not packed")
    raise SeedFileError(f"{name}: cannot be unpacked as {codec}: it is {found}. Pack it again, or correct its suffix.")


def _unpacked(name: str, data: bytes) -> bytes:
    codec = next(codec for mark, codec in _CODECS.items() if data.startswith(mark))
    try:
        if codec == "zstd":
            import pyarrow as pa

            with pa.input_stream(pa.BufferReader(data), compression="zstd") as stream:
                return stream.read()
        return {"gzip": gzip.decompress, "bzip2": bz2.decompress, "xz": lzma.decompress}[codec](data)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise SeedFileError(f"{name}: cannot be unpacked as {codec} ({error}). Pack it again.") from error


def _member(name: str, data: bytes) -> tuple[str, bytes]:
    """The name and content of the one file in a zip archive. Raises SeedFileError for more, and for a workbook."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = [entry.filename for entry in archive.infolist() if _is_file(entry.filename)]
            if "[Content_Types].xml" in found:
                raise SeedFileError(f"{name}: is {_WORKBOOK}.")
            if "mimetype" in found:
                raise SeedFileError(f"{name}: is an OpenDocument file: save the sheet as CSV.")
            if len(found) != 1:
                shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
                raise SeedFileError(
                    f"{name}: is a zip archive of {len(found)} files ({shown}). Unpack it, and name one of them."
                )
            return found[0], archive.read(found[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, EOFError) as error:
        raise SeedFileError(
            f"{name}: is a zip archive that cannot be unpacked ({error}). Unpack it by hand."
        ) from error


def _is_file(member: str) -> bool:
    """Whether it is a file that somebody packed, and not what a system adds."""
    name = PurePosixPath(member).name
    return not member.endswith("/") and not member.startswith("__MACOSX/") and not name.startswith(".")


def _check_holds_rows(name: str, begins: bytes) -> None:
    """Raises SeedFileError for bytes that are known to hold no rows, with what they are."""
    for mark, what in _OTHERS:
        if begins.startswith(mark) and (mark != b"ORC" or b"\0" in begins):
            raise SeedFileError(f"{name}: is {what}.")
    for what, (at, mark) in {"a tar archive: unpack it": _TAR, "a DuckDB database: export CSV": _DUCKDB}.items():
        if begins[at:].startswith(mark):
            raise SeedFileError(f"{name}: is {what}.")
    if begins.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].lower().startswith(_PAGES):
        raise SeedFileError(
            f"{name}: is a page of HTML or XML, as a server sends for an error or a log-in: download the file itself."
        )
    if begins and not begins.strip(b"\0"):
        raise SeedFileError(f"{name}: holds NUL bytes, as a crash or a full disk leaves them. Fetch or write it again.")
