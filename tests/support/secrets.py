"""Finding a secret in whatever was written to disk, in any container and under any usual spelling."""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import pyarrow.parquet as pq


def planted(name: str) -> str:
    """A key to look for. It has the characters that JSON, URLs and shells write differently."""
    return f"sk-planted/{name}+0123456789=="


def spellings(secret: str) -> set[bytes]:
    """How `secret` may be written: as it is, escaped in JSON or in a URL, in base64 at any offset."""
    plain = {secret, json.dumps(secret)[1:-1], secret.replace("/", "\\/")}
    plain |= {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return {text.encode() for text in plain} | set(_in_base64(secret.encode()))


def _in_base64(secret: bytes) -> Iterator[bytes]:
    """The characters that `secret` alone decides, for each position that it can begin at."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + secret)
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        yield encoded[first:last]


def traces(folder: Path, secrets: Iterable[str]) -> list[str]:
    """Where under `folder` one of `secrets` stands: raw bytes of every file, and what containers hold unpacked."""
    wanted = {spelling for secret in secrets for spelling in spellings(secret)}
    return [
        f"{path.relative_to(folder)} ({kind})"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for kind, content in _contents(path)
        if any(spelling in content for spelling in wanted)
    ]


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    raw = path.read_bytes()
    yield "bytes", raw
    if raw[:4] == b"PAR1":
        yield "rows", repr(pq.read_table(path).to_pylist()).encode()
    elif raw[8:12] == b"DUCK":
        with duckdb.connect(path, read_only=True) as connection:
            for (table,) in connection.execute("select table_name from information_schema.tables").fetchall():
                yield f"table {table}", repr(connection.execute(f"from {table}").fetchall()).encode()
    elif raw.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
                yield f"table {table}", repr(connection.execute(f'select * from "{table}"').fetchall()).encode()
    elif raw.startswith(b"\x1f\x8b"):
        yield "unpacked", gzip.decompress(raw)
