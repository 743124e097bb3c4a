"""Every stored row carries a hash of its fields, which is the same wherever it is computed."""

from __future__ import annotations

import hashlib
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.row_hash import ROW_HASH, batch_hashes, row_hash
from teams_dagster.store.tables import TABLES, write_table

SCHEMA = pa.schema(
    [
        pa.field("text", pa.string()),
        pa.field("other", pa.string()),
        pa.field("count", pa.int64()),
        pa.field("share", pa.float64()),
        pa.field("kept", pa.bool_()),
    ]
)

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))

ROWS = st.fixed_dictionaries(
    {
        "text": st.none() | _TEXT,
        "other": st.none() | _TEXT,
        "count": st.none() | st.integers(-(2**63), 2**63 - 1),
        "share": st.none() | st.floats(allow_nan=False),
        "kept": st.none() | st.booleans(),
    }
)


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_a_batch_of_rows_has_the_hashes_of_its_rows(rows: list[dict[str, Any]]):
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    assert batch_hashes("t", batch) == [row_hash("t", row) for row in rows]


@given(ROWS, ROWS)
def test_rows_that_differ_in_any_field_have_other_hashes(row: dict[str, Any], other: dict[str, Any]):
    same = all(repr(row[name]) == repr(other[name]) for name in row)  # tells -0.0 from 0.0
    assert (row_hash("t", row) == row_hash("t", other)) == same


def test_what_is_hashed_can_be_written_down_by_hand():
    row = {"text": "a:b\n", "share": 0.5, "kept": True, "count": -3, "missing": None, ROW_HASH: "not hashed"}
    text = "t\ncount:2:-3\nkept:1:1\nshare:19:4602678819172646912\ntext:4:a:b\n\n"
    assert row_hash("t", row) == hashlib.sha256(text.encode()).hexdigest()[:32]


def test_a_named_value_is_hashed_as_what_is_stored_for_it():
    class Named(StrEnum):
        ONE = "on\u00e9"

    class Counted(IntEnum):
        TWO = 2

    named, plain = {"a": Named.ONE, "b": Counted.TWO}, {"a": "on\u00e9", "b": 2}
    assert row_hash("t", named) == row_hash("t", plain)


def test_the_order_of_the_fields_makes_no_difference():
    assert row_hash("t", {"b": 1, ROW_HASH: "x", "a": "\u00e9"}) == row_hash("t", {"a": "\u00e9", "b": 1})


def test_the_same_fields_in_another_table_have_another_hash():
    assert row_hash("seeds", {"a": "x"}) != row_hash("samples", {"a": "x"})


def test_a_column_that_a_table_gains_leaves_the_hashes_of_earlier_rows():
    assert row_hash("t", {"a": "x"}) == row_hash("t", {"a": "x", "later": None})


def test_every_table_that_is_written_carries_them(tmp_path: Path):
    values = {pa.string(): "x", pa.int64(): 1, pa.float64(): 1, pa.bool_(): True}
    for name, table in TABLES.items():
        row = {field.name: values[field.type] for field in table.schema if field.name != ROW_HASH}
        stored = pq.read_table(write_table(tmp_path, name, [row])).to_pylist()[0]
        assert stored[ROW_HASH] == row_hash(name, stored)
