"""Texts as a reader takes them, and whether one imitates the tags that a prompt puts around it."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import regex


@lru_cache(maxsize=4_096)
def folded_text(text: str) -> str:
    """`text` as it is seen (`seen_text`), in lower case.

    Kept for a while: a text is read again with each edit of it.
    """
    return seen_text(text).lower()


def seen_text(text: str) -> str:
    """`text` with compatible letters alike, nothing invisible, HTML's character references resolved."""
    unescaped = html.unescape(text) if "&" in text else text
    if unescaped.isascii():
        return unescaped
    return "".join(c for c in unicodedata.normalize("NFKC", unescaped) if unicodedata.category(c) != "Cf")


_OF_OTHER_ALPHABETS = str.maketrans(
    "аеорсхуіјѕԁһԛԝктмοαεικνρτυχγηω\u0131",
    "aeopcxyijsdhqwktmoaeikvptuxynwi",
)
"""Cyrillic and Greek letters that look like Latin ones."""


@lru_cache(maxsize=8_192)
def bare_word(word: str) -> str:
    """A word of `core.words` in bare Latin letters, as far as it looks like them: `café` is `cafe`, `søt` is `sot`.

    So is `sоt` with a Cyrillic `о`. Other letters stay as they are.
    """
    if word.isascii():
        return word
    return "".join(map(_bare_letter, _MARKS.sub("", unicodedata.normalize("NFD", word)))).translate(_OF_OTHER_ALPHABETS)


_MARKS = regex.compile(r"(?<=\p{Latin}\p{M}*)\p{M}")


@lru_cache(maxsize=1_024)
def _bare_letter(letter: str) -> str:
    """A Latin letter without its stroke, hook or the like, by its name in Unicode; any other character as it is."""
    found = _ADORNED.fullmatch(unicodedata.name(letter, ""))
    return letter if found is None else found[1].lower()


_ADORNED = re.compile(r"LATIN SMALL LETTER ([A-Z]) WITH .+")


def imitates_tags(text: str, names: Iterable[str]) -> bool:
    """Whether `text` has something that looks like `<name>` or `</name>`, whatever follows the name."""
    plain = folded_text(text)
    return "<" in plain and re.search(rf"<\s*/?\s*(?:{'|'.join(names)})\b", plain) is not None
