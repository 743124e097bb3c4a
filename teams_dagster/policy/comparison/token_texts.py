"""Texts as numbers: their tokens, cut to a common total, and a lexical kernel over them.

A token is a word of `instructions.ngrams.words` (case-folded, without punctuation; a character in Chinese and
Japanese). A text's tokens are those of the instruction, then those of its input.

The kernel is `hashed_words_bigrams`: how often each word and each pair of neighbouring words occurs, hashed into
`DIMENSIONS` buckets by CRC-32 as in `policy.features`, scaled to length 1; two texts are as similar as the cosine
between them, in [0, 1]. It needs no model and gives the same figure on every machine.
"""

from __future__ import annotations

import zlib
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.ngrams import words

DIMENSIONS = 512
MAX_CHARACTERS = 8_000
"""Characters of an instruction, and of its input, that are read: memory is bounded, whatever the texts."""


@dataclass(frozen=True)
class Vocabulary:
    """In which bucket of the kernel each word and each pair of words is."""

    word_buckets: np.ndarray
    """(words,), by word id."""
    pair_buckets: np.ndarray
    """(pairs,), by pair id."""


@dataclass(frozen=True)
class TokenTexts:
    """Some texts, one after another, as ids of words and pairs."""

    words: np.ndarray
    """(tokens,): word ids."""
    pairs: np.ndarray
    """(tokens,): id of the pair that each token forms with the next; without meaning at the last token of a text."""
    starts: np.ndarray
    """(texts,): where each text begins."""
    lengths: np.ndarray
    """(texts,): tokens of each text; 0 for a text without a word."""

    def __len__(self) -> int:
        """How many texts."""
        return len(self.lengths)


@dataclass(frozen=True)
class CutTexts:
    """Texts cut to given lengths: what is measured."""

    words: np.ndarray
    """(tokens,): word ids."""
    word_rows: np.ndarray
    """(tokens,): in which text."""
    pairs: np.ndarray
    """(tokens - texts,): ids of the pairs within a text."""
    pair_rows: np.ndarray
    """(tokens - texts,): in which text."""
    texts: int


def encode(sets: Sequence[Sequence[Instruction]]) -> tuple[list[TokenTexts], Vocabulary]:
    """Each set of texts as numbers, over one vocabulary."""
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__  # a new word gets the next number
    flat: list[np.ndarray] = []
    lengths: list[np.ndarray] = []
    for texts in sets:
        numbers = array("q")
        counts: list[int] = []
        for text in texts:
            tokens = _tokens(text)
            numbers.extend(map(ids.__getitem__, tokens))
            counts.append(len(tokens))
        flat.append(np.frombuffer(numbers, dtype=np.int64))
        lengths.append(np.array(counts, dtype=np.int64))
    every = np.concatenate([*flat, np.zeros(1, dtype=np.int64)])  # one more, so that the last token has a next one
    distinct, pairs = np.unique(every[:-1] * len(ids) + every[1:], return_inverse=True)
    ends = np.cumsum([len(found) for found in flat], dtype=np.int64)
    numbered = [
        TokenTexts(found, pairs[end - len(found) : end], np.cumsum(counts) - counts, counts)
        for found, end, counts in zip(flat, ends, lengths, strict=True)
    ]
    return numbered, _vocabulary(list(ids), distinct)


def _tokens(text: Instruction) -> list[str]:
    return words(text.text[:MAX_CHARACTERS]) + words(text.input[:MAX_CHARACTERS])


def _vocabulary(known: list[str], pairs: np.ndarray) -> Vocabulary:
    """Buckets of `known` words, and of `pairs` given as first * len(known) + second."""
    spelled = [word.encode("utf-8", "surrogatepass") for word in known]
    begun = [zlib.crc32(word + b" ") for word in spelled]
    firsts, seconds = np.divmod(pairs, max(1, len(known)))
    pairs_of_words: list[tuple[int, int]] = list(zip(firsts.tolist(), seconds.tolist(), strict=True))
    hashes = [zlib.crc32(spelled[second], begun[first]) for first, second in pairs_of_words]
    return Vocabulary(
        np.array([zlib.crc32(word) for word in spelled], dtype=np.int64) % DIMENSIONS,
        np.array(hashes, dtype=np.int64) % DIMENSIONS,
    )


def equal_total(lengths: np.ndarray, total: int) -> np.ndarray:
    """To how many tokens each text is cut so that together they have `total`: shape (texts,).

    At most L each, L the largest with which they have no more than `total`; what is then left goes to the first texts
    that are longer, one token each. Raises ValueError when there are fewer than `total` tokens.
    """
    if total > lengths.sum():
        raise ValueError(f"{len(lengths)} texts of {lengths.sum()} tokens cannot be cut to {total}")
    longest = int(np.max(lengths, initial=0))
    shorter = np.bincount(lengths, minlength=longest + 1)
    longer = len(lengths) - np.cumsum(shorter)  # by limit: how many texts have a token beyond it
    held = np.concatenate([[0], np.cumsum(longer[:-1])])  # by limit: how many tokens remain under it
    limit = int(np.searchsorted(held, total, side="right")) - 1
    cut = np.minimum(lengths, limit)
    cut[np.flatnonzero(lengths > limit)[: total - int(cut.sum())]] += 1
    return cut


def cut_texts(texts: TokenTexts, chosen: np.ndarray, lengths: np.ndarray) -> CutTexts:
    """The texts numbered `chosen`, each cut to its first tokens: `lengths` of them, at least 1."""
    rows = np.repeat(np.arange(len(chosen)), lengths)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = np.repeat(texts.starts[chosen], lengths) + within
    paired = within < np.repeat(lengths - 1, lengths)
    return CutTexts(texts.words[places], rows, texts.pairs[places[paired]], rows[paired], len(chosen))


def kernel_vectors(cut: CutTexts, vocabulary: Vocabulary) -> np.ndarray:
    """The texts as vectors of length 1 whose products are the kernel: shape (texts, DIMENSIONS), >= 0.

    float32: products take half the time, and the figures made of them hold to five digits.
    """
    places = np.concatenate(
        [
            cut.word_rows * DIMENSIONS + vocabulary.word_buckets[cut.words],
            cut.pair_rows * DIMENSIONS + vocabulary.pair_buckets[cut.pairs],
        ]
    )
    counts = np.bincount(places, minlength=cut.texts * DIMENSIONS).reshape(cut.texts, DIMENSIONS).astype(np.float32)
    return counts / np.sqrt(np.einsum("ij,ij->i", counts, counts))[:, None]
