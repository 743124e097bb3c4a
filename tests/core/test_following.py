"""Reading values beside what they belong to."""

from __future__ import annotations

from collections.abc import Iterator

from teams_dagster.core.following import Following


def test_each_value_is_taken_once_by_its_key_and_those_passed_over_are_kept() -> None:
    values = Following([("a", 1), ("b", 2), ("c", 3)])
    assert [values.take(key) for key in ("b", "a", "b", "c")] == [2, 1, None, 3]


def test_no_more_is_read_than_was_asked_for() -> None:
    read = list[str]()

    def coming() -> Iterator[tuple[str, int]]:
        for key in "abc":
            read.append(key)
            yield key, 0

    assert Following(coming()).take("b") == 0
    assert read == ["a", "b"]


def test_what_was_not_taken_is_left_in_its_order() -> None:
    values = Following([("a", 1), ("b", 2), ("c", 3)])
    values.take("b")
    assert list(values.rest()) == [("a", 1), ("c", 3)]
