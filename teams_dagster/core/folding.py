"""Words without what says nothing: how they are dressed, and in which of two scripts one and the same word is written.

A fold brings together what an edit may have put in the place of a word and left the text as it was: look-alike
letters, small capitals, letters in circles and upside down, digits for letters (`h3ll0`), traditional and simplified
Chinese characters, katakana and hiragana. It also brings words together that are two (`año` and `ano`), so it says
nothing of one text alone: whoever folds has two texts, and folds a word of the one where the other has it otherwise.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path

import regex

from teams_dagster.core.lookalikes import bare_word

_SHAPED = regex.compile(r"[\p{Latin}--[a-zA-Z]]|[\U0001F130-\U0001F189]", regex.V1)
"""A Latin letter in another shape."""

_SPELLS = regex.compile(r"(?<!\p{RI})\p{RI}(?:\p{RI}{2})*(?!\p{RI})")
"""Regional indicators that spell a word: two are a flag."""

_INDICATOR = regex.compile(r"\p{RI}")

_LETTER_BY_NAME = regex.compile(
    r"(?:LATIN (?:LETTER SMALL CAPITAL|SMALL LETTER TURNED|LETTER SMALL CAPITAL TURNED)"
    r"|(?:NEGATIVE (?:CIRCLED|SQUARED)|SQUARED) LATIN CAPITAL LETTER|REGIONAL INDICATOR SYMBOL LETTER) ([A-Z])"
)
_UPSIDE_DOWN = str.maketrans({"ɟ": "f", "ᴉ": "i", "ꞁ": "l", "ꜱ": "s", "ǝ": "e", "ɔ": "c", "ı": "i", "ᴎ": "n", "ᴙ": "r"})
_BESIDE_LATIN = str.maketrans("ΑΒΕΗΙΚΜΝΟΡΤΧΥΖАВЕЗКМНОРСТУХІЈЅвнкмтпгшьз", "ABEHIKMNOPTXYZABE3KMHOPCTYXIJSbhkmtnrwb3")
"""Capitals look like others than small letters do, so they are told before a text is in lower case."""
_OF_TWO_ALPHABETS = regex.compile(r"\b(?=\w*\p{Latin})(?=\w*[\p{Greek}\p{Cyrillic}])\w+")

_FOR_LETTERS = str.maketrans("0134578lвнβζ", "oieastbibhbz")
"""What stands for letters; `1` is an i or an l, which are then one."""
_KATAKANA = range(0x30A1, 0x30F7)
_TO_HIRAGANA = {code: code - 0x60 for code in _KATAKANA}


def plain_letters(text: str) -> str:
    """`text` with Latin letters of another shape as plain ones, and words of two alphabets in Latin letters."""
    if text.isascii():
        return text
    shaped = _SHAPED.sub(lambda found: _plain_letter(found[0]), text)
    if _SPELLS.search(shaped):
        shaped = _INDICATOR.sub(lambda found: _plain_letter(found[0]), shaped)
    return _OF_TWO_ALPHABETS.sub(lambda word: word[0].translate(_BESIDE_LATIN), shaped)


@lru_cache(maxsize=1_024)
def _plain_letter(letter: str) -> str:
    found = _LETTER_BY_NAME.fullmatch(unicodedata.name(letter, ""))
    return letter.translate(_UPSIDE_DOWN) if found is None else found[1].lower()


def is_plain(word: str) -> bool:
    """Whether a word of `core.words` is written in ASCII letters alone, so that it is the fold of others at most."""
    return word.isascii() and word.isalpha()


@lru_cache(maxsize=16_384)
def folded_word(word: str) -> str:
    """What a word of `core.words` is, whatever it is dressed as."""
    bare = bare_word(word)
    if not bare.isascii():
        bare = bare.translate(_TO_HIRAGANA).translate(_simplified())
    return bare.translate(_FOR_LETTERS)


@cache
def _simplified() -> Mapping[int, int]:
    """Traditional characters to simplified ones."""
    lines = (Path(__file__).parent / "data" / "simplified.txt").read_text(encoding="utf-8").splitlines()
    pairs = "".join(line for line in lines if not line.startswith("#"))
    return str.maketrans(pairs[::2], pairs[1::2])
