"""Balanced accuracy, its interval, and what changes with the order."""

from __future__ import annotations

import pytest

from teams_dagster.preflight.accuracy import UNCLEAR, Said, accuracy_of, wilson


def said(right: int, wrong: int, label: str = "equal", other: str = "not_equal") -> list[Said]:
    return [Said("a kind", label, label)] * right + [Said("a kind", label, other)] * wrong


def test_a_wilson_interval_is_that_of_the_textbook():
    share = wilson(8, 10)
    assert (share.low, share.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))


def test_a_label_with_many_pairs_counts_no_more_than_one_with_few():
    found = accuracy_of([*said(90, 0), *said(0, 10, "not_equal", "equal")])
    assert found.balanced == 0.5


def test_everything_right_still_has_a_lower_bound_that_depends_on_the_number_of_pairs():
    few, many = (accuracy_of([*said(n, 0), *said(n, 0, "not_equal")]) for n in (16, 72))
    assert few.balanced == many.balanced == 1.0
    assert few.low == pytest.approx(0.863, abs=1e-3)
    assert many.low == pytest.approx(0.964, abs=1e-3)


def test_an_unclear_reply_is_wrong_and_counted_and_an_unanswered_one_is_neither():
    unclear, unanswered = Said("a kind", "equal", UNCLEAR), Said("a kind", "equal", None)
    found = accuracy_of([*said(1, 0), unclear, unanswered, *said(1, 0, "not_equal")])
    assert (found.balanced, found.unclear, found.pairs) == (0.75, 1, 3)


def test_a_label_that_nothing_was_answered_of_is_named():
    with pytest.raises(ValueError, match="labelled not_equal"):
        accuracy_of([*said(1, 0), Said("a kind", "not_equal", None)])


def test_pairs_are_counted_by_kind_and_label():
    found = accuracy_of([*said(2, 1), Said("another", "not_equal", "not_equal")])
    assert [(kind.kind, kind.label, kind.right, kind.pairs) for kind in found.kinds] == [
        ("a kind", "equal", 2, 3),
        ("another", "not_equal", 1, 1),
    ]


def test_position_bias_counts_the_pairs_that_were_read_in_both_orders():
    pairs = [
        Said("a kind", "equal", "equal", "equal"),
        Said("a kind", "not_equal", "not_equal", "equal"),
        Said("a kind", "equal", "equal", UNCLEAR),
        Said("a kind", "equal", "equal"),
    ]
    changed = accuracy_of(pairs).position.changed
    assert (changed.count, changed.of) == (1, 2)
