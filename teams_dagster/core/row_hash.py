"""The hash that every stored row carries: a changed byte in any of its fields is found, and the row named.

A row's text is its table's name and a line feed, then for each column that is not NULL, in the order of their names,

    <column>:<length of the value in bytes>:<value>\\n

with strings in UTF-8, integers and times (microseconds) in decimal, truth as 1 or 0, and doubles as the integer that
has their 64 bits. The hash is the first 32 hexadecimal digits of the text's SHA-256. NULLs are left out, so a table may
gain columns.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from teams_dagster.core.hashing import ID_LENGTH

ROW_HASH = "row_hash"
"""The column that holds it. It is no part of what it hashes."""


def row_hash(table: str, row: Mapping[str, Any]) -> str:
    """The hash of one row; its values have the types of their columns (a double's is a float)."""
    text = [f"{table}\n"]
    for name in _hashed(tuple(row)):
        value = row[name]
        if value is None:
            continue
        if value.__class__ is not str:
            value = _value(value)
        text.append(f"{name}:{len(value) if value.isascii() else len(value.encode())}:{value}\n")
    return _digest("".join(text).encode())


@lru_cache(maxsize=256)
def _hashed(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `columns` that are hashed, in order. Remembered: a table's rows have the same ones."""
    return tuple(sorted(name for name in columns if name != ROW_HASH))


def batch_hashes(table: str, batch: pa.RecordBatch) -> list[str]:
    """`row_hash` of each row of `batch`, a column at a time. Raises TypeError for a column of another kind."""
    names = sorted(name for name in batch.schema.names if name != ROW_HASH)
    parts = [part for name in names for part in _parts(name, batch.column(name))]
    # A NULL must drop its whole entry, so the parts of an entry are joined before the entries are.
    entries = [_joined(parts[at : at + 3], "emit_null") for at in range(0, len(parts), 3)]
    texts = _joined([_repeated(f"{table}\n".encode(), batch.num_rows), *entries], "skip")
    return [_digest(text) for text in texts.to_pylist()]


def _value(value: str | int | float | bool) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return str(struct.unpack("<q", struct.pack("<d", value))[0])
    return str(int(value))


def _parts(name: str, column: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The start of each entry, the value's length, and the value with the entry's end."""
    values = _binary(name, column)
    sizes: pa.Array = pc.call_function("binary_length", [values])
    lengths = pc.cast(pc.cast(sizes, pa.string()), pa.binary())
    label = _repeated(f"{name}:".encode(), len(column))
    ended = _joined([_repeated(b":", len(column)), values, _repeated(b"\n", len(column))], "emit_null")
    return label, lengths, ended


def _binary(name: str, column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_string(kind):
        return pc.cast(column, pa.binary())
    if pa.types.is_float64(kind) or pa.types.is_timestamp(kind):
        column = column.view(pa.int64())
    elif pa.types.is_boolean(kind):
        column = pc.cast(column, pa.int8())
    elif not pa.types.is_integer(kind):
        raise TypeError(f"column {name} is {kind}: rows of strings, integers, doubles and truths can be hashed")
    return pc.cast(pc.cast(column, pa.string()), pa.binary())


def _joined(arrays: list[pa.Array], nulls: Literal["emit_null", "skip"]) -> pa.Array:
    nothing = pa.scalar(b"", pa.binary())
    return pc.call_function("binary_join_element_wise", [*arrays, nothing], pc.JoinOptions(null_handling=nulls))


def _repeated(text: bytes, times: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.binary()), times)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:ID_LENGTH]
