"""Writing the assets' tables as Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from teams_dagster.core.row_hash import row_hash
from teams_dagster.store.tables import ROWS_AT_ONCE, TABLES, TableError, merge_tables, write_table
from tests.support.parquet import without

ROW: dict[str, Any] = {"instruction_id": "i-1", "text": "Say hello.", "input": ""}


def test_rows_come_back_with_their_types(tmp_path: Path) -> None:
    rows = [{"policy": "trained", "metric": "return", "mean": 0.5, "ci_low": None, "episodes": 32}]
    file = write_table(tmp_path / "new", "policy_scores", rows)
    assert file == tmp_path / "new" / "policy_scores.parquet"
    table = pq.read_table(file)
    assert table.schema.equals(TABLES["policy_scores"].schema)
    assert table.to_pylist()[0] == {
        **dict.fromkeys(TABLES["policy_scores"].schema.names),
        **rows[0],
        "row_hash": row_hash("policy_scores", rows[0]),
    }


def test_no_rows_is_a_table_too(tmp_path: Path) -> None:
    assert pq.read_table(write_table(tmp_path, "samples", [])).num_rows == 0


@pytest.mark.parametrize(
    ("table", "row", "message"),
    [
        ("no_table", ROW, "no table 'no_table'"),
        ("instructions", {**ROW, "colour": 1}, "no such column: colour"),
        ("instructions", {"instruction_id": "i", "text": "t"}, r"instructions\.input, row 0: a value is required"),
        ("instructions", {**ROW, "text": 5}, r"instructions\.text \(string\)"),
        ("instructions", {**ROW, "text": "\ud800"}, r"instructions\.text \(string\)"),
        ("policy_scores", {"policy": "p", "metric": "m", "mean": "high"}, r"policy_scores\.mean \(double\)"),
        (
            "policy_scores",
            {"policy": "p", "metric": "m", "mean": 1.0, "episodes": 1.5},
            r"policy_scores\.episodes \(int64\)",
        ),
    ],
)
def test_a_row_that_does_not_fit_is_refused_by_column(
    tmp_path: Path, table: str, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(TableError, match=message):
        write_table(tmp_path, table, [row])
    assert list(tmp_path.iterdir()) == []


def test_rows_are_taken_as_they_come(tmp_path: Path) -> None:
    total = 2 * ROWS_AT_ONCE + 1
    file = write_table(tmp_path, "instructions", ({**ROW, "instruction_id": str(i)} for i in range(total)))
    written = pq.ParquetFile(file)
    assert written.metadata.num_rows == total
    assert written.num_row_groups == 3


def test_parts_that_an_earlier_version_wrote_are_merged_with_what_they_lack_as_null(tmp_path: Path) -> None:
    part = write_table(tmp_path / "part", "seeds", [{"seed_id": "s", "instruction_id": "i", **_SEED}])
    without(part, "cluster_id")
    merged = merge_tables(tmp_path, "seeds", [tmp_path / "part"], "seed_id")
    assert pq.read_table(merged).to_pylist()[0]["cluster_id"] is None


_SEED: dict[str, Any] = {"text": "t", "input": "", "response": "", "row": 1}
