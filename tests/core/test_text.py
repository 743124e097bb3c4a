from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.text import (
    about_dollars,
    dollars,
    exact_dollars,
    money,
    number,
    percent,
    short_count,
    shorten,
    visible,
)


@given(st.text(alphabet=st.characters(blacklist_categories=())))
def test_visible_text_holds_nothing_that_controls_or_reorders(text: str) -> None:
    shown = visible(text)
    assert {unicodedata.category(c) for c in shown if c not in "\n\t\u200c\u200d"}.isdisjoint({"Cc", "Cf", "Cs"})
    shown.encode("utf-8")


@pytest.mark.parametrize("text", ["plain", "tab\there", "two\nlines", "né, 日本語, עברית, 👩\u200d🔬"])
def test_ordinary_text_of_any_script_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_a_reordering_character_is_named() -> None:
    assert visible("a\u202eb\x00") == "a[U+202E]b[U+0000]"


def test_a_long_text_says_how_much_is_missing() -> None:
    assert shorten("x" * 1_200, 100) == "x" * 100 + " [... 1,100 more characters]"
    assert shorten("short", 100) == "short"


@pytest.mark.parametrize(
    ("nano", "unpriced", "text"),
    [
        (0, 0, "$0"),
        (812_400_000, 0, "$0.8124"),
        (1_234_567_890_123, 0, "$1,234.57"),
        (0, 3, "unknown"),
        (812_400_000, 3, "at least $0.8124"),
    ],
)
def test_a_cost_without_a_price_is_never_guessed(nano: int, unpriced: int, text: str) -> None:
    assert money(nano, unpriced) == text


def test_small_amounts_keep_two_digits_that_say_something() -> None:
    shown = [about_dollars(nano) for nano in (0, 1, 12_345, 4_200_000, 123_456_789, 1_234_567_890_123)]
    assert shown == ["$0.00", "$0.000000001", "$0.000012", "$0.0042", "$0.12", "$1,234.57"]


def test_an_account_has_four_decimals_and_what_is_kept_has_all() -> None:
    assert [dollars(nano) for nano in (0, 1_234_567_890_123)] == ["$0.0000", "$1,234.5679"]
    assert [exact_dollars(nano) for nano in (0, 1_234_567_890)] == ["0.000000000 US dollars", "1.234567890 US dollars"]


def test_large_counts_are_short() -> None:
    assert [short_count(count) for count in (950, 12_345, 1_900_000)] == ["950", "12k", "1.9M"]


def test_what_is_no_number_is_a_dash() -> None:
    assert number(float("nan")) == number(None) == percent(1, 0) == "–"
    assert number(1_234) == "1,234"
    assert number(0.5) == "0.500"
