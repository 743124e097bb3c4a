"""How new a text is: one named, deterministic, lexical measure.

The measure is `dice_words_bigrams`: Dice's coefficient on the sets of a text's words and word pairs, lower-cased
(what a word is in which script: `teams_dagster.core.words`). Between an edit and the texts of its chain, a word that
was replaced by itself with an accent, a stroke or look-alike letters is the same: on every word of a text they would
pass for ten words added. What makes most of their difference and tells nothing (`gist`) is left out. The pool takes
words as they are: such an edit's nearest text is in its chain.
It needs no model, gives the same figure on every machine, and a reward computed with it can be replayed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain, pairwise

import numpy as np

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.lookalikes import bare_word
from teams_dagster.core.words import segmentation_version, words
from teams_dagster.instructions.gist import gists

MEASURE = "dice_words_bigrams"

Measure = Callable[[Instruction, Instruction], float]

_DIFFERENCE_EXPLAINED = 0.5
"""Where texts without what tells nothing differ at most by this share of what they differ by as they are, that is what
tells them apart. An edit that adds words differs by nearly as much without it, and is measured as it is."""


@lru_cache(maxsize=8_192)
def _terms(text: str) -> frozenset[str]:
    """Interned: the texts of a chain share most of their terms, and memory then holds each once."""
    return _terms_of(words(text))


def _terms_of(found: Sequence[str]) -> frozenset[str]:
    pairs = (f"{a} {b}" for a, b in pairwise(found))
    return frozenset(map(sys.intern, chain(found, pairs)))


def _terms_told(text: str, gist: list[str]) -> frozenset[str]:
    """The terms of a text's gist: those of the text, which are kept for a while, where nothing was left out."""
    return _terms(text) if gist == words(text) else _terms_of(gist)


def _terms_of_both(a: str, b: str) -> tuple[frozenset[str], frozenset[str]]:
    """The terms of two texts; words of the one alone that are, bare, such words of the other are the same."""
    if a.isascii() and b.isascii():
        return _terms(a), _terms(b)
    words_a, words_b = words(a), words(b)
    only_a, only_b = set(words_a).difference(words_b), set(words_b).difference(words_a)
    same = set(map(bare_word, only_a)).intersection(map(bare_word, only_b))
    if not same:
        return _terms(a), _terms(b)
    bare = {word: bare_word(word) for word in only_a | only_b if bare_word(word) in same}
    return _terms_of([bare.get(word, word) for word in words_a]), _terms_of([bare.get(word, word) for word in words_b])


def _dice(terms_a: frozenset[str], terms_b: frozenset[str]) -> float:
    total = len(terms_a) + len(terms_b)
    return 2 * len(terms_a & terms_b) / total if total else 1.0


def _alike(a: str, b: str) -> float:
    """Dice's coefficient of two texts of a chain."""
    if a == b:
        return 1.0
    plain = _dice(*_terms_of_both(a, b))
    gist_a, gist_b = gists(a, b)
    told = 1.0 if gist_a == gist_b else _dice(_terms_told(a, gist_a), _terms_told(b, gist_b))
    return told if 1 - told <= _DIFFERENCE_EXPLAINED * (1 - plain) else plain


@lru_cache(maxsize=8_192)
def similarity(a: Instruction, b: Instruction) -> float:
    """Similarity in [0, 1] of two instructions: the smaller of their texts' and their inputs' Dice coefficients.

    Kept for a while: an edit is compared with its chain to be let through, and again to be rewarded.
    The smaller, so that a long unchanged input does not hide a changed text, nor the other way round.
    """
    return min(_alike(a.text, b.text), _alike(a.input, b.input))


def similarity_of_words(a: Instruction, b: Instruction) -> float:
    """The same with what tells nothing, but for accents and look-alike letters, as earlier versions measured."""
    return min(_dice(*_terms_of_both(a.text, b.text)), _dice(*_terms_of_both(a.input, b.input)))


def similarity_as_written(a: Instruction, b: Instruction) -> float:
    """The same where a word with an accent put on is another word, as still earlier versions measured."""
    return min(_dice(_terms(a.text), _terms(b.text)), _dice(_terms(a.input), _terms(b.input)))


EARLIER_MEASURES: tuple[Measure, ...] = (similarity_of_words, similarity_as_written)


class Pool:
    """A frozen set of instructions that a new one is compared with.

    Constant within a training run and the same for every compared policy; `version` is the hash of its content.
    """

    def __init__(self, instructions: Iterable[Instruction]) -> None:
        members = sorted({(i.text, i.input) for i in instructions})
        self.version = content_hash("pool", MEASURE, *segmentation_version(chain.from_iterable(members)), members)
        self._size = len(members)
        self._texts = _Postings([text for text, _ in members])
        self._inputs = _Postings([material for _, material in members])
        self._remembered = lru_cache(maxsize=8_192)(self._largest_similarity)

    def __len__(self) -> int:
        return self._size

    def largest_similarity(self, instruction: Instruction) -> float:
        """The largest `similarity` between `instruction` and a member; 0 for an empty pool."""
        return self._remembered(instruction)

    def _largest_similarity(self, instruction: Instruction) -> float:
        if self._size == 0:
            return 0.0
        return float(np.minimum(self._texts.dice(instruction.text), self._inputs.dice(instruction.input)).max())


class _Postings:
    """For each term, which texts hold it: overlaps with all texts in one count."""

    def __init__(self, texts: list[str]) -> None:
        self._sizes = np.array([len(_terms(text)) for text in texts], dtype=np.int64)
        holders: dict[str, list[int]] = {}
        for index, text in enumerate(texts):
            for term in _terms(text):
                holders.setdefault(term, []).append(index)
        self._holders = {term: np.array(indices) for term, indices in holders.items()}

    def dice(self, text: str) -> np.ndarray:
        """Dice coefficient of `text` with each text, shape (texts,)."""
        terms = _terms(text)
        found = [self._holders[term] for term in terms if term in self._holders]
        shared = np.bincount(np.concatenate(found), minlength=len(self._sizes)) if found else np.zeros(len(self._sizes))
        totals = self._sizes + len(terms)
        return np.divide(2 * shared, totals, out=np.ones(len(totals)), where=totals > 0)
