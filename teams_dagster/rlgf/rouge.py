"""ROUGE (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"): how much of a reference a text says.

Words are runs of letters and digits in lower case, not stemmed. All scores are F1, between 0 and 1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

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
