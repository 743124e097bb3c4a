"""What a word is, in every script: the one notion that novelty, n-grams, near duplicates, lengths and features share.

Words follow Unicode's text segmentation (UAX #29), by the properties that `regex` knows: a run of letters, digits and
underscores with the marks that belong to them, so that no vowel sign splits a word; an apostrophe or a decimal point
does. Compatibility forms (full-width letters, ligatures, composed and decomposed accents) are the same, and invisible
format characters nothing. Scripts written without spaces between words (Han, Kana, and those for which Unicode asks for
a dictionary: Thai, Lao, Khmer, Burmese and more) are read by grapheme clusters, so that a comma changes nothing
around it. An emoji is a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import regex

_BY_DICTIONARY = r"\p{LB=SA}"
_HAN_AND_KANA = r"\p{Ideographic}\p{Hiragana}\p{WB=Katakana}"
_UNSPACED = f"{_BY_DICTIONARY}{_HAN_AND_KANA}"
_EMOJI = r"[\p{Emoji_Presentation}\p{Regional_Indicator}]|\p{Extended_Pictographic}\uFE0F"

_RUN = rf"[[\p{{Alphabetic}}\p{{N}}_]--[\p{{M}}{_UNSPACED}]][[\p{{Alphabetic}}\p{{N}}\p{{M}}_]--[{_UNSPACED}]]*"
_CLUSTER = rf"(?=[[{_UNSPACED}]--\p{{M}}]|{_EMOJI})\X\p{{M}}*"
_WORD = regex.compile(f"{_RUN}|{_CLUSTER}", regex.V1)
_INVISIBLE = regex.compile(
    r"[\p{WB=Format}\u200B-\u200D\u0640\u07FA\uFE00-\uFE0E\U000E0100-\U000E01EF]"
    r"|(?<![\p{Extended_Pictographic}--\p{Emoji_Presentation}])\uFE0F",
    regex.V1,
)
"""Format characters, spaces of no width, what stretches letters (Arabic, N'Ko) and variation selectors, less the one
that makes a sign an emoji."""
_UNSPACED_START = regex.compile(f"[{_UNSPACED}]", regex.V1)
_BY_DICTIONARY_START = regex.compile(_BY_DICTIONARY)

_NEEDS_NO_SEGMENTATION = re.compile("[\0-\u00ac\u00ae-\u02ff\u0370-\u0482\u048a-\u0530\u2010-\u2027\u2030-\u205e€]*")
"""Latin, Greek and Cyrillic without combining marks, and their punctuation: `\\w+` finds the same words, faster."""

_SPACED_WORD = re.compile(r"\w+")

_BETWEEN_LETTERS = regex.compile(
    r"[^\p{L}\p{M}\p{N}\p{Emoji_Presentation}\p{Regional_Indicator}\p{Extended_Pictographic}]|\p{DI}", regex.V1
)

SEGMENTED = "segmented"

WHOLE = 6
"""`sixths` of a word of a script that is written with spaces."""

_FIRST_UNSPACED = "\u0e00"
"""No character of a script without spaces, and no emoji, comes before it."""


def words(text: str) -> list[str]:
    """The words of `text` in their order, in lower case; without punctuation, and compatible forms alike (NFKC)."""
    if text.isascii():
        return _SPACED_WORD.findall(text.lower())
    normal = unicodedata.normalize("NFKC", text).lower()
    if _NEEDS_NO_SEGMENTATION.fullmatch(normal):
        return _SPACED_WORD.findall(normal)
    return _WORD.findall(unicodedata.normalize("NFC", _INVISIBLE.sub("", normal)))


def letters(text: str) -> str:
    """The letters, digits and emoji of `text`, run together in lower case: equal wherever only signs and spaces differ.

    A comma in a number, a hyphen and a space change which words a text has, and nothing here.
    """
    spelt = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return _BETWEEN_LETTERS.sub("", spelt)


def segmentation_version(texts: Iterable[str]) -> tuple[str, ...]:
    r"""What to add to a version that depends on the words of `texts`: nothing where release 0.1.0 read the same words.

    It took runs of `\w` for words, which combining marks split and missing spaces did not. Where that makes no
    difference, versions and all that is stored under them stay.
    """
    as_before = all(text.isascii() or words(text) == _SPACED_WORD.findall(text.lower()) for text in texts)
    return () if as_before else (SEGMENTED,)


def all_spaced(found: Iterable[str]) -> bool:
    """Whether each of these words is of a script that is written with spaces, so that it counts as one word."""
    return max(found, default="") < _FIRST_UNSPACED


@lru_cache(maxsize=8_192)
def sixths(word: str) -> int:
    """How many sixths of a word one of `words` counts as: 6 in scripts that are written with spaces.

    A character of a script without spaces is a part of a word: about half a word of Chinese or Japanese, a third of
    a word of Thai, Khmer and their like. That is an approximation: against ICU's dictionaries a sentence counts as up
    to 36% more (Thai) or 30% fewer words (Khmer).
    """
    if word < _FIRST_UNSPACED or not _UNSPACED_START.match(word):
        return WHOLE
    return 2 if _BY_DICTIONARY_START.match(word) else 3


def word_count(found: Iterable[str]) -> float:
    """How many words these of `words` are: what a length in words means in any script."""
    return sum(map(sixths, found)) / WHOLE


def length_in_words(text: str) -> float:
    """How long a text is: what stands between its spaces, and in scripts without spaces what makes as many words."""
    spaced = text.split()
    if text.isascii() or all_spaced(found := words(text)):
        return len(spaced)
    return word_count(found)
