"""Readers hold a file as it is, whoever else reads it, and whoever clears away what kills left."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from teams_dagster.store.publishing import lock, read_lock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "teams.duckdb"
    with duckdb.connect(file) as connection:
        connection.execute("create table numbers as select 1 as one")
    return file


def test_a_reader_ends_well_after_a_refresher_cleared_away_what_kills_left(path: Path) -> None:
    with read_lock(path) as reader, lock(path, 1.0):
        assert reader is not None
        assert reader.execute("from numbers").fetchall() == [(1,)]


def test_several_read_at_once(path: Path) -> None:
    with read_lock(path) as one, read_lock(path) as other:
        assert one is not None
        assert other is not None
        assert one.execute("from numbers").fetchall() == other.execute("from numbers").fetchall()


def test_a_reader_leaves_nothing_behind(path: Path) -> None:
    with read_lock(path):
        pass
    assert [file.name for file in path.parent.iterdir()] == [path.name]
