"""A fold brings together what may stand for one word in the place of another; digits and flags stay what they are."""

from __future__ import annotations

import pytest

from teams_dagster.core.folding import folded_word, plain_letters


@pytest.mark.parametrize(
    ("dressed", "word"),
    [
        ("h3llo", "hello"),
        ("w1ll", "will"),
        ("53nt3nc3", "sentence"),
        ("аnswer", "answer"),
        ("カギ", "かぎ"),
        ("圖書", "图书"),
    ],
)
def test_a_dressed_word_folds_to_what_the_word_folds_to(dressed: str, word: str) -> None:
    assert dressed != word
    assert folded_word(dressed) == folded_word(word)


@pytest.mark.parametrize(("one", "other"), [("river", "rivers"), ("10", "11"), ("2024", "2025"), ("かき", "かぎ")])
def test_words_that_look_otherwise_stay_two(one: str, other: str) -> None:
    assert folded_word(one) != folded_word(other)


@pytest.mark.parametrize(
    ("shaped", "plain"),
    [
        ("ᴛʜᴇ ʀɪᴠᴇʀ", "the river"),
        ("🅣🅗🅔", "the"),
        ("🆁🅸🆅🅴🆁", "river"),
        ("🇷🇮🇻🇪🇷", "river"),
        ("🇫🇷🇩🇪", "🇫🇷🇩🇪"),
        ("Οdyssey", "Odyssey"),
        ("Ομηρος", "Ομηρος"),
        ("café", "café"),
    ],
)
def test_letters_of_another_shape_are_plain_ones_and_flags_and_other_alphabets_stay(shaped: str, plain: str) -> None:
    assert plain_letters(shaped) == plain
