"""Rows of texts on disk."""

from __future__ import annotations

import pytest

from teams_dagster.core.disk_rows import DiskRows, Part

ROWS = [("a", "Name a tree.\0", None), ("b", "", "\ud83d alone"), ("c", "æ 字 👍🏽", "x" * 100_000)]


def filled() -> DiskRows:
    rows = DiskRows(3)
    for row in ROWS:
        rows.append(row)
    return rows


def test_rows_are_read_as_they_were_added_whatever_their_characters() -> None:
    rows = filled()
    assert len(rows) == 3
    assert [rows[place] for place in (2, 0, 1)] == [ROWS[2], ROWS[0], ROWS[1]]


def test_a_row_that_was_never_added_is_an_error_that_names_it() -> None:
    with pytest.raises(IndexError, match="no row 3: 3 were added"):
        filled()[3]


def test_a_part_has_its_own_order_and_can_be_read_again() -> None:
    part = Part(filled(), [2, 0])
    assert list(part) == list(part) == [ROWS[2], ROWS[0]]
    assert (len(part), part[1]) == (2, ROWS[0])
    assert list(Part(part, [1])) == [ROWS[0]]
