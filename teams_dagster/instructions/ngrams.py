"""Word n-grams shared with texts that models are scored on: contamination.

Thirteen words is the length that GPT-3 (Brown et al. 2020, appendix C) and the LM Evaluation Harness use. Eight also
finds paraphrases that kept a clause, and phrases that everybody writes: it is worth a look and refuses nothing.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

from teams_dagster.core import words as segmentation

NGRAM_WORDS = 13

PARAPHRASE_WORDS = 8


def words(text: str) -> list[str]:
    """The words of `text`, case-folded. Underscores are no letters here: they fill the gaps of a cloze question."""
    found = segmentation.words(text.replace("_", " "))
    return found if text.isascii() else [word.casefold() for word in found]


_SEPARATOR = "[,٬，'’\u00a0\u2009\u202f]"
_GROUPED = re.compile(
    rf"(?<!\d)(?<!\d[.,])(?!0)\d{{1,3}}(?:{_SEPARATOR}\d{{2,3}})*{_SEPARATOR}\d{{3}}(?!{_SEPARATOR}?\d)"
)
_NO_DIGIT = re.compile(r"\D")


def compared_words(text: str) -> list[str]:
    """`words`, in which a number is one, whether or not its digits stand in groups: `1,000` is `1000`.

    Points and ordinary spaces may divide numbers, and join none. What HTML writes for a character is that character.
    """
    text = html.unescape(text) if "&" in text else text
    return words(_GROUPED.sub(lambda number: _NO_DIGIT.sub("", number[0]), text))


def ngrams(text: str, size: int = NGRAM_WORDS) -> set[str]:
    """The n-grams of `size` words in `text`, each joined by single spaces; none where the text is shorter.

    In scripts without spaces as many characters as make `size` words (`word_count`), so that everyday phrases such as
    "answer the following question" are as short there as elsewhere.
    """
    found = compared_words(text)
    if segmentation.all_spaced(found):
        return {" ".join(found[at : at + size]) for at in range(len(found) - size + 1)}
    return {" ".join(found[start:end]) for start, end in _windows(found, size * segmentation.WHOLE)}


def _windows(found: list[str], wanted: int) -> Iterator[tuple[int, int]]:
    """From each word the shortest run whose `sixths` come to `wanted`."""
    sixths = list(map(segmentation.sixths, found))
    end = have = 0
    for start, first in enumerate(sixths):
        while have < wanted:
            if end == len(found):
                return
            have += sixths[end]
            end += 1
        yield start, end
        have -= first


class NgramIndex:
    """The n-grams of evaluation texts (of 13 words, unless told otherwise), to look up what is shared with them.

    A text of fewer words has none; it counts as shared only with a text of exactly the same words, so that a short
    evaluation question does not condemn every instruction that contains it.
    """

    def __init__(self, texts: Iterable[str], size: int = NGRAM_WORDS) -> None:
        self._size = size
        self._long: set[str] = set()
        self._short: set[str] = set()
        for text in texts:
            found = ngrams(text, size)
            self._long |= found
            if not found and (whole := " ".join(compared_words(text))):
                self._short.add(whole)

    def __len__(self) -> int:
        return len(self._long) + len(self._short)

    def overlap(self, *parts: str) -> str | None:
        """The first n-gram, in alphabetical order, that the parts share with the evaluation texts; None without one.

        The parts are also read as one text, in the order given: a question divided between an instruction and its
        input is found.
        """
        if not len(self):
            return None
        shared = ngrams("\n".join(parts), self._size) & self._long
        shared |= {" ".join(compared_words(part)) for part in parts} & self._short
        return min(shared, default=None)
