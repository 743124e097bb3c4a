"""The judge: which of two answers does better what an instruction asks. A comparison of texts that knows no author.

Each answer gets a mark by itself, a product of what can be read off it: how many of the instruction's content words it
takes up, how much of it is repeated, whether it ends or breaks off, and which of the countable constraints it keeps.
Marks that are close are a tie. Length has no part in it beyond what these need.
"""

from __future__ import annotations

import re
from functools import lru_cache

from teams_dagster.core.instruction import Instruction

CLOSE = 0.06
"""Marks, from 0 to 1, that differ by less are a tie."""
ENOUGH = 0.6
"""The share of an instruction's content words that a good answer takes up: the others are about the asking."""
FAINT = 0.3
"""What is left of the mark of an answer that takes up none."""
BREAKS_OFF = 0.7
BROKEN_CONSTRAINT = 0.6
"""What is left of the mark for each of them."""
WINDOW = 3
"""Words in a row that a text seldom says twice."""
STEM = 6
"""Letters by which inflected words are known again."""

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*")
_ASKING = frozenset(
    "about above after again all also and any are because before being below both but can could describe do does each"
    " explain find for from gave give given has have her here his how into its just list make many may more most must"
    " name only other our out over please provide say she should some such tell than that the their them then there"
    " these they this those to two under use using very was were what when where which while who why will with without"
    " would write you your answer question task text input sentence sentences following".split()
)
ENDS = re.compile(r"[.!?…:;)\]}|\"'”’`*\d]\s*\Z|\n[^\S\n]*[-*•\d][^\n]{0,60}\Z")
_AT_MOST = re.compile(
    r"\b(?:under|at most|no more than|fewer than|less than|within|up to|maximum of) (\d+) words", re.IGNORECASE
)
_BULLETS = re.compile(r"\bbullets?\b|\bbullet points?\b", re.IGNORECASE)
_NUMBERED = re.compile(r"\bnumbered list\b|\bas numbered\b|\bnumbered steps\b", re.IGNORECASE)
_ONE_SENTENCE = re.compile(r"\bin (?:one|a single) sentence\b", re.IGNORECASE)
_YES_OR_NO = re.compile(r"\b(?:yes or no|yes/no)\b", re.IGNORECASE)
_ITEM = re.compile(r"^[^\S\n]*(?:[-*•]|\d+[.)])\s+\S", re.MULTILINE)
_NUMBER = re.compile(r"^[^\S\n]*\d+[.)]\s+\S", re.MULTILINE)
_SENTENCE = re.compile(r"[.!?]+(?:\s|\Z)")


def preference(instruction: Instruction, first: str, second: str) -> str:
    """`A`, `B` or `tie`."""
    gap = mark(instruction, first) - mark(instruction, second)
    if abs(gap) < CLOSE:
        return "tie"
    return "A" if gap > 0 else "B"


@lru_cache(maxsize=4096)
def mark(instruction: Instruction, answer: str) -> float:
    """From 0, for an answer without a word, to 1."""
    words = words_of(answer)
    if not words:
        return 0.0
    found = FAINT + (1 - FAINT) * min(1.0, taken_up(instruction, words) / ENOUGH)
    ends = 1.0 if ENDS.search(answer) else BREAKS_OFF
    return found * variety(words) * ends * BROKEN_CONSTRAINT ** broken(instruction.text, answer, words)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, numbers among them."""
    return _WORD.findall(text.lower())


def stems_of(words: list[str]) -> set[str]:
    """The beginnings of those of `words` that are not about the asking."""
    return {word[:STEM] for word in words if (len(word) > 2 or word.isdigit()) and word not in _ASKING}


def taken_up(instruction: Instruction, words: list[str]) -> float:
    """The share of the content words of the text that are in the answer; of one without any, of its input's."""
    asked = stems_of(words_of(instruction.text)) or stems_of(words_of(instruction.input))
    return len(asked & stems_of(words)) / len(asked) if asked else ENOUGH


def variety(words: list[str]) -> float:
    """The share of its runs of words that it has not said before, squared: a loop is worth next to nothing."""
    runs = [tuple(words[i : i + WINDOW]) for i in range(max(1, len(words) - WINDOW + 1))]
    return (len(set(runs)) / len(runs)) ** 2


def broken(text: str, answer: str, words: list[str]) -> int:
    """How many of the constraints that can be counted the answer breaks."""
    limit = _AT_MOST.search(text)
    items = len(_ITEM.findall(answer))
    checks = (
        limit is not None and len(words) > int(limit[1]),
        _BULLETS.search(text) is not None and items < 2,
        _NUMBERED.search(text) is not None and len(_NUMBER.findall(answer)) < 2,
        _ONE_SENTENCE.search(text) is not None and len(_SENTENCE.findall(answer)) > 1,
        _YES_OR_NO.search(text) is not None and not {"yes", "no"} & set(words),
    )
    return sum(checks)
