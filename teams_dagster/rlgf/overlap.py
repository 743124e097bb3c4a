"""ROUGE and CIDEr-D: how much of its reference a text says.

ROUGE: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries". Words are runs of letters and digits in lower
case, not stemmed; all scores are F1, between 0 and 1. CIDEr-D: Vedantam et al. 2015; what few references say counts
most.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

_WORD = re.compile(r"[a-z0-9]+")


def words_of(text: str) -> list[str]:
    """The words that are compared."""
    return _WORD.findall(text.lower())


def rouge_n(text: str, reference: str, size: int) -> float:
    """ROUGE-N (section 2): runs of `size` words that both have, each as often as both have it."""
    one, other = (_runs(words_of(side), size) for side in (text, reference))
    return _f1((one & other).total(), one.total(), other.total())


def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L of one sentence (section 3.1): the longest common subsequence of words."""
    one, other = words_of(text), words_of(reference)
    return _f1(_common(one, other), len(one), len(other))


def _runs(words: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[at : at + size]) for at in range(len(words) - size + 1))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, row by row."""
    row = [0] * (len(other) + 1)
    for word in one:
        above, row = row, [0]
        for at, against in enumerate(other):
            row.append(above[at] + 1 if word == against else max(above[at + 1], row[at]))
    return row[-1]


def _f1(both: int, in_text: int, in_reference: int) -> float:
    return 2 * both / (in_text + in_reference) if both else 0.0


SIZES = range(1, 5)
"""Words of a run."""
SIGMA = 6.0
"""Words that a text may be longer or shorter by before that tells."""
SCALE = 10.0

Run = tuple[str, ...]


@dataclass(frozen=True)
class Cider:
    """Scores against any of `references`, which say how common a run of words is."""

    references: tuple[str, ...]

    @cached_property
    def _frequencies(self) -> Counter[Run]:
        """By run of words, how many references have it."""
        return Counter(run for reference in self.references for run in set(_runs_of_all(words_of(reference))))

    def score(self, text: str, reference: str) -> float:
        """Between 0 and 10: mean over runs of 1 to 4 words of the cosine of both, weighted by rarity.

        A run counts as often as the reference has it at most, and a text of another length loses by it. Words are
        ROUGE's, and are not stemmed. Where every reference has the same runs, none is rare and all scores are 0.
        """
        words, others = words_of(text), words_of(reference)
        length = math.exp(-((len(words) - len(others)) ** 2) / (2 * SIGMA**2))
        return SCALE * length * sum(self._cosine(words, others, size) for size in SIZES) / len(SIZES)

    def _cosine(self, words: Sequence[str], others: Sequence[str], size: int) -> float:
        one, other = (self._weights(_runs_of_all(side, [size])) for side in (words, others))
        norms = _norm(one) * _norm(other)
        return (
            sum(min(one[run], weight) * weight for run, weight in other.items() if run in one) / norms if norms else 0
        )

    def _weights(self, runs: Iterable[Run]) -> dict[Run, float]:
        known = self._frequencies
        rarest = math.log(len(self.references))
        return {run: count * (rarest - math.log(max(1, known[run]))) for run, count in Counter(runs).items()}


def _runs_of_all(words: Sequence[str], sizes: Iterable[int] = SIZES) -> list[Run]:
    return [tuple(words[at : at + size]) for size in sizes for at in range(len(words) - size + 1)]


def _norm(weights: dict[Run, float]) -> float:
    return math.sqrt(sum(weight**2 for weight in weights.values()))
