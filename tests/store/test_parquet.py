"""Parquet files as plain values."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from teams_dagster.store.parquet import distinct_values, iterate_rows, read_rows

ROWS = [{"one": "b", "other": "a"}, {"one": "a", "other": None}, {"one": "b", "other": "c"}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def test_rows_come_in_the_files_order(path: Path) -> None:
    assert read_rows(path) == ROWS


def test_columns_that_are_not_asked_for_are_left_out(path: Path) -> None:
    assert read_rows(path, ["one"]) == [{"one": row["one"]} for row in ROWS]


@pytest.mark.parametrize("at_once", [1, 2, 10])
def test_rows_are_the_same_however_many_are_read_at_once(path: Path, at_once: int) -> None:
    assert list(iterate_rows(path, at_once)) == ROWS


def test_a_value_of_several_columns_counts_once_and_a_null_not_at_all(path: Path) -> None:
    assert distinct_values(path, ["one", "other"]) == {"a", "b", "c"}
