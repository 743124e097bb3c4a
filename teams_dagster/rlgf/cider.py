"""CIDEr-D (Vedantam et al. 2015): how much of its reference a sentence says, what few references say counting most."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from teams_dagster.rlgf.rouge import words_of

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
        return Counter(run for reference in self.references for run in set(_runs(words_of(reference))))

    def score(self, text: str, reference: str) -> float:
        """Between 0 and 10: mean over runs of 1 to 4 words of the cosine of both, weighted by rarity.

        A run counts as often as the reference has it at most, and a text of another length loses by it. Words are
        ROUGE's, and are not stemmed. Where every reference has the same runs, none is rare and all scores are 0.
        """
        words, others = words_of(text), words_of(reference)
        length = math.exp(-((len(words) - len(others)) ** 2) / (2 * SIGMA**2))
        return SCALE * length * sum(self._cosine(words, others, size) for size in SIZES) / len(SIZES)

    def _cosine(self, words: Sequence[str], others: Sequence[str], size: int) -> float:
        one, other = (self._weights(_runs(side, [size])) for side in (words, others))
        norms = _norm(one) * _norm(other)
        return (
            sum(min(one[run], weight) * weight for run, weight in other.items() if run in one) / norms if norms else 0
        )

    def _weights(self, runs: Iterable[Run]) -> dict[Run, float]:
        known = self._frequencies
        rarest = math.log(len(self.references))
        return {run: count * (rarest - math.log(max(1, known[run]))) for run, count in Counter(runs).items()}


def _runs(words: Sequence[str], sizes: Iterable[int] = SIZES) -> list[Run]:
    return [tuple(words[at : at + size]) for size in sizes for at in range(len(words) - size + 1)]


def _norm(weights: dict[Run, float]) -> float:
    return math.sqrt(sum(weight**2 for weight in weights.values()))
