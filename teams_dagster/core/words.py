"""What a word is, in every script: the one notion that novelty, n-grams, near duplicates, lengths and features share.

Words follow Unicode's text segmentation (UAX #29), by the properties that `regex` knows: a run of letters, digits and
underscores with the marks that belong to them, so that no vowel sign splits a word; an apostrophe or a decimal point
does. Compatibility forms (full-width letters, ligatures, composed and decomposed accents) are the same. Scripts
written without spaces between words (Han, Kana, and those for which Unicode asks for a dictionary: Thai, Lao, Khmer,
Burmese and more) are read by grapheme clusters, so that a comma changes nothing around it. An emoji is a word.

What changes how a text looks and not what it says is no part of a word: invisible characters, stretched letters, the
points that Arabic, Hebrew and Syriac may be written with or without, a mark that a letter has already or that its
script does not have, circles and keycaps, the shape of a digit, variation selectors and skin tones. Marks that spell
(the vowel signs of Indic scripts, the tones of Thai, the accents of Latin, Greek and Cyrillic letters) make another
word: `resume` and `résumé` are two.
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
_SIGNS = r"0-9#*\u00A9\u00AE\p{Block=Arrows}\p{Block=Geometric_Shapes}"
"""Of what Unicode lists as emoji, the characters that texts in words are written and laid out with."""
_EMOJI = rf"\p{{Regional_Indicator}}[\p{{Emoji}}--[{_SIGNS}]]"

_RUN = rf"[[\p{{Alphabetic}}\p{{N}}_]--[\p{{M}}{_UNSPACED}]][[\p{{Alphabetic}}\p{{N}}\p{{M}}_]--[{_UNSPACED}]]*"
_CLUSTER = rf"(?=[[{_UNSPACED}]--\p{{M}}]|[{_EMOJI}])\X\p{{M}}*"
_WORD = regex.compile(f"{_RUN}|{_CLUSTER}", regex.V1)

_INVISIBLE = (
    r"[[\p{DI}\p{WB=Format}]--[\U000E0020-\U000E007F]]"
    r"|(?<!\U0001F3F4[\U000E0020-\U000E007F]*)[\U000E0020-\U000E007F]"  # they spell the flags of England and others
)
_STRETCHES = r"\u0640\u07FA"
_OPTIONAL_POINTS = (
    r"[\p{Mn}&&[\p{scx=Arabic}\p{scx=Hebrew}\p{scx=Syriac}\p{scx=Samaritan}]--[\u0653-\u0655]]"
    r"|[\u0653-\u0655\u135D-\u135F\u302E\u302F]"
)
_ADORNMENT = regex.compile(
    rf"{_INVISIBLE}|[{_STRETCHES}\p{{Me}}\p{{Emoji_Modifier}}]|{_OPTIONAL_POINTS}",
    regex.V1,
)
"""What a text says the same without, once its accents are composed."""
_FOREIGN_MARK = regex.compile(
    r"(?<=[[\p{L}\p{N}\p{Emoji}]--[\p{Latin}\p{Greek}\p{Cyrillic}]]\p{M}*)[\p{M}&&\p{Inherited}--[\u3099\u309A]]",
    regex.V1,
)
"""An accent on what is neither Latin, Greek nor Cyrillic, such as on a Chinese character or a digit."""
_MARK = regex.compile(r"\p{M}")
_MARKS = regex.compile(r"\p{M}{2,}")
_OTHER_DIGIT = regex.compile(r"[\p{N}--[0-9]]", regex.V1)
_UNSPACED_START = regex.compile(f"[{_UNSPACED}]", regex.V1)
_BY_DICTIONARY_START = regex.compile(_BY_DICTIONARY)

_EMOJI_START = regex.compile(f"[{_EMOJI}]", regex.V1)

_NEEDS_NO_SEGMENTATION = re.compile("[\0-\u00ac\u00ae-\u02ff\u0370-\u0482\u048a-\u0530\u2010-\u2027\u2030-\u205e€]*")
"""Latin, Greek and Cyrillic without combining marks, and their punctuation: `\\w+` finds the same words, faster."""

_SPACED_WORD = re.compile(r"\w+")

_BETWEEN_LETTERS = regex.compile(
    rf"{_INVISIBLE}|[{_STRETCHES}\p{{Emoji_Modifier}}\p{{Block=Spacing_Modifier_Letters}}]"
    rf"|[^\p{{L}}\p{{N}}\U000E0020-\U000E007F{_EMOJI}]",
    regex.V1,
)

SEGMENTED = "segmented 2"

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
    return _WORD.findall(_unadorned(normal))


def _unadorned(normal: str) -> str:
    """A normalised text without what says nothing more."""
    plain = unicodedata.normalize("NFC", _ADORNMENT.sub("", normal))
    if _MARK.search(plain):
        once = _MARKS.sub(lambda marks: "".join(dict.fromkeys(marks[0])), unicodedata.normalize("NFD", plain))
        plain = _FOREIGN_MARK.sub("", unicodedata.normalize("NFC", once))
    return _plain_shapes(plain)


def _plain_shapes(text: str) -> str:
    """`text` with each digit as an ASCII one, whatever its shape, and alif under a wasla as alif.

    Numerals that are no digits stay.
    """
    plain = text.replace("\u0671", "\u0627")
    return _OTHER_DIGIT.sub(lambda found: str(unicodedata.digit(found[0], found[0])), plain)


def letters(text: str) -> str:
    """The letters, digits and emoji of `text`, run together in lower case: equal wherever only signs, marks or spaces
    differ.

    A comma in a number, a hyphen, a space and an accent change which words a text has, and nothing here.
    """
    spelt = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return _BETWEEN_LETTERS.sub("", _plain_shapes(spelt))


def segmentation_version(texts: Iterable[str]) -> tuple[str, ...]:
    r"""What to add to a version that depends on the words of `texts`: nothing where release 0.1.0 read the same words.

    It took runs of `\w` for words, which combining marks split and missing spaces did not. Where that makes no
    difference, versions and all that is stored under them stay.
    """
    as_before = all(text.isascii() or words(text) == _SPACED_WORD.findall(text.lower()) for text in texts)
    return () if as_before else (SEGMENTED,)


def is_emoji(word: str) -> bool:
    """Whether one of `words` is an emoji."""
    return word >= _FIRST_UNSPACED and _EMOJI_START.match(word) is not None


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
