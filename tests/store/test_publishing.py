"""Readers hold a file as it is, whoever else reads it, and whoever clears away what kills left."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from teams_dagster.store.publishing import lock, read_lock, read_whole


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


HEADERS, BLOCK = 3 * 4_096, 256 * 1024
"""How DuckDB divides a file."""


def write_numbers(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("create table read_model_state as select 1 as one")
        connection.execute("create table numbers as select hash(range) as number from range(200_000)")


def total(path: Path) -> int:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute("select count(distinct number) from numbers").fetchall()[0][0]


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.duckdb"
    write_numbers(path)
    return path


def damage(path: Path) -> bytes:
    """Spoils a block that is read with the numbers and not when the file is opened; the file then."""
    content = path.read_bytes()
    for at in range(HEADERS, len(content), BLOCK):
        spoilt = content[:at] + b"\xa5" * 4_096 + content[at + 4_096 :]
        path.write_bytes(spoilt)
        with suppress(duckdb.Error), duckdb.connect(path, read_only=True) as connection:
            connection.execute("from read_model_state").fetchall()
            with pytest.raises(duckdb.Error, match="Corrupt"):
                total(path)
            return spoilt
    raise AssertionError("no block of the file is one of the numbers' alone")


def test_a_file_is_made_again_whose_damage_a_reader_meets(numbers: Path, caplog: pytest.LogCaptureFixture) -> None:
    spoilt = damage(numbers)
    assert read_whole(numbers, lambda: total(numbers), lambda: write_numbers(numbers)) == 200_000
    (kept,) = numbers.parent.glob(f"{numbers.name}.unreadable-*")
    assert kept.read_bytes() == spoilt
    (line,) = caplog.messages
    assert f"{numbers} cannot be read" in line


def test_a_file_that_lost_its_end_is_made_again_too(numbers: Path) -> None:
    numbers.write_bytes(numbers.read_bytes()[: HEADERS + BLOCK])
    assert read_whole(numbers, lambda: total(numbers), lambda: write_numbers(numbers)) == 200_000


def test_an_error_of_the_reader_leaves_the_file_as_it_is(numbers: Path) -> None:
    content = numbers.read_bytes()

    def no_such_table() -> None:
        with duckdb.connect(numbers, read_only=True) as connection:
            connection.execute("from others")

    with pytest.raises(duckdb.CatalogException):
        read_whole(numbers, no_such_table, lambda: write_numbers(numbers))
    assert numbers.read_bytes() == content
