"""Word n-grams shared with texts that models are scored on: contamination.

Thirteen words is the length that GPT-3 (Brown et al. 2020, appendix C) and the LM Evaluation Harness use. Eight also
finds paraphrases that kept a clause, and phrases that everybody writes: it is worth a look and refuses nothing.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import islice

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from teams_dagster.core import words as segmentation

NGRAM_WORDS = 13

TEXTS_AT_ONCE = 1_000
"""Whose hashes are looked up together: in order, which a processor's caches like."""

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


Hashes = NDArray[np.uint64]


def ngram_hashes(text: str) -> Hashes:
    """A hash of each of the `ngrams` of 13 words in `text`, 8 bytes of a text of some hundred, in their order.

    Two n-grams have the same by accident with a chance of 2 to the -64: among those of a million texts, once in 30,000
    times.
    """
    found = compared_words(text)
    hashes = np.fromiter(map(_word_hash, found), np.uint64, len(found))
    if not segmentation.all_spaced(found):
        windows = _windows(found, NGRAM_WORDS * segmentation.WHOLE)
        return np.array([_joined(hashes[start:end]) for start, end in windows], np.uint64)
    if len(found) < NGRAM_WORDS:
        return np.empty(0, np.uint64)
    return _joined(sliding_window_view(hashes, NGRAM_WORDS))


@lru_cache(maxsize=65_536)
def _word_hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest())


_MOST_WORDS = NGRAM_WORDS * segmentation.WHOLE
"""Of an n-gram: a part of a word counts as a sixth of one at least."""
_FACTORS = np.random.default_rng(1).integers(1 << 63, size=_MOST_WORDS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def _joined(hashes: Hashes) -> Hashes:
    """Of the words in the last axis one hash, which their order and number decide."""
    return (hashes * _FACTORS[: hashes.shape[-1]]).sum(axis=-1, dtype=np.uint64)


def share_overlapping(texts: Iterable[str], others: Iterable[str]) -> float:
    """The share of `texts` with 13 words in a row of one of `others`; 0 where there is none.

    Memory holds 8 bytes of each n-gram of `texts`, and nothing of `others`.
    """
    own = [ngram_hashes(text) for text in texts]
    every = np.unique(np.concatenate([np.empty(0, np.uint64), *own]))
    shared = np.zeros(len(every) + 1, bool)  # the last stands for all that are not among them
    for some in _batches(others):
        shared[_places(every, np.sort(np.concatenate([ngram_hashes(text) for text in some])))] = True
    shared[-1] = False
    return sum(bool(shared[_places(every, found)].any()) for found in own) / len(own) if own else 0.0


def _places(ordered: Hashes, wanted: Hashes) -> NDArray[np.int64]:
    """Where each is; the number of all for one that is not there."""
    at = np.searchsorted(ordered, wanted)
    missing = at == len(ordered)
    missing[~missing] = ordered[at[~missing]] != wanted[~missing]
    return np.where(missing, len(ordered), at)


def _batches(texts: Iterable[str]) -> Iterator[Sequence[str]]:
    waiting = iter(texts)
    while some := list(islice(waiting, TEXTS_AT_ONCE)):
        yield some


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
