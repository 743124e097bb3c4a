"""What differs between two texts, word by word."""

from __future__ import annotations

from teams_dagster.core.word_diff import word_diff


def test_what_is_new_and_what_is_gone_is_marked() -> None:
    assert word_diff("Name a big lake.", "Name a deep lake.") == "Name a [-big-]{+deep+} lake."


def test_white_space_stays_outside_of_the_marks() -> None:
    assert word_diff("Name a lake.", "Name a lake.\nUse one word.") == "Name a lake.\n{+Use one word.+}"


def test_equal_texts_have_no_marks() -> None:
    assert word_diff("Name a lake.", "Name a lake.") == "Name a lake."


def test_a_text_that_is_no_edit_of_the_other_is_given_as_it_is() -> None:
    assert word_diff("Name a lake.", "Which bird migrates furthest?") == "Which bird migrates furthest?"


def test_what_is_empty_differs_in_everything() -> None:
    assert word_diff("", "a,b") == "a,b"
