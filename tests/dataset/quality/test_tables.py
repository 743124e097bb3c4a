"""A stored table is what its schema says, or the fault is named by column and row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from teams_dagster.core.hashing import content_hash
from teams_dagster.dataset.quality.tables import table_faults
from teams_dagster.store.tables import TABLES, write_table
from tests.support.parquet import change, without

SEEDS = TABLES["seeds"]


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    rows = [
        {
            "seed_id": content_hash("seed", number),
            "instruction_id": content_hash("instruction", number),
            "text": f"Name {number} rivers.",
            "input": "",
            "response": "",
            "row": number,
            "cluster_id": content_hash("cluster", number),
            "run_id": "a run of Dagster, no id of ours",
        }
        for number in range(5)
    ]
    return write_table(tmp_path, "seeds", rows)


def test_a_table_as_it_was_written_is_sound(seeds: Path) -> None:
    assert table_faults(seeds, SEEDS) == []


def test_a_column_that_may_be_null_may_be_missing_from_an_older_file(seeds: Path) -> None:
    without(seeds, "cluster_id")
    assert table_faults(seeds, SEEDS) == []


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda file: without(file, "text"), "seeds.text is missing"),
        (lambda file: change(file, "text", lambda _: None, row=3), "seeds.text is NULL in 1 rows, first in row 3"),
        (
            lambda file: change(file, "seed_id", lambda value: value.upper() + "/..", row=2),
            "seeds.seed_id is no id of 32 hex digits in 1 rows, first in row 2",
        ),
        (
            lambda file: change(file, "cluster_id", lambda value: value[:31], row=1),
            "seeds.cluster_id is no id of 32 hex digits in 1 rows, first in row 1",
        ),
    ],
    ids=["missing", "null", "traversal", "short"],
)
def test_a_fault_is_named(seeds: Path, damage: Callable[[Path], None], fault: str) -> None:
    damage(seeds)
    assert table_faults(seeds, SEEDS) == [fault]


def test_another_type_and_an_unknown_column_are_named(seeds: Path) -> None:
    stored = pq.read_table(seeds)
    place = stored.schema.get_field_index("row")
    stored = stored.set_column(place, "row", pa.array([str(number) for number in range(5)]))
    pq.write_table(stored.append_column("mood", pa.array(["good"] * 5)), seeds)
    assert table_faults(seeds, SEEDS) == ["seeds.row is string, not int64", "seeds has no column 'mood'"]


def test_a_file_that_is_no_table_is_said_to_be_none(seeds: Path) -> None:
    seeds.write_bytes(seeds.read_bytes()[:100])
    [fault] = table_faults(seeds, SEEDS)
    assert fault.startswith("seeds cannot be read: ")
