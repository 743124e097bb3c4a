"""The rater: whether an answer does what its instruction asks, as far as a comparison of texts can tell.

It can see that an instruction speaks of material that is not there, that a countable constraint is broken, that a text
breaks off or goes round in circles, and that an answer takes up what is asked. That an answer is right it cannot see,
nor that it is about something else (a good answer may share no word with what was asked); and where nothing shows, it
says so.
"""

from __future__ import annotations

import re

from resources.language_models.offline.judge import ENDS, ENOUGH, broken, stems_of, taken_up, variety, words_of
from teams_dagster.core.instruction import Instruction

A_FEW = 25
"""Words up to which an answer may end without a full stop and be whole: a name, a translation, a line of a poem."""
LOOPS = 0.5
"""The variety of words below which an answer goes round in circles."""

_MATERIAL = (
    r"(?:text|passage|article|paragraph|sentence|story|poem|table|list|data|numbers|e-?mail|letter|code|function|chart"
    r"|image|picture|photographs?|photos?|document|essay|conversation|dialogue|review|worksheet|transcript)s?"
)
_ABSENT = re.compile(
    rf"\b(?:(?:the|this|these|that)\s+(?:(?:following|above|attached|given|below|provided)\s+){_MATERIAL}"
    rf"|(?:the|these|this)\s+{_MATERIAL}\s+(?:(?:given|shown|provided|attached)\s+)?(?:above|below|attached)"
    rf"|(?:these|this)\s+(?:two\s+)?{_MATERIAL})\b",
    re.IGNORECASE,
)
_PRESENT = re.compile(r"[:\n\"“]\s*\S.*\Z", re.DOTALL)


def rating(instruction: Instruction, answer: str) -> str:
    """One of the ratings that the prompt allows."""
    if _speaks_of_absent_material(instruction):
        return "unanswerable"
    words = words_of(answer)
    if not words:
        return "partly"
    if broken(instruction.text, answer, words):
        return "constraint ignored"
    if variety(words) < LOOPS or (len(words) > A_FEW and not ENDS.search(answer)):
        return "partly"
    return "good" if stems_of(words_of(instruction.text)) and taken_up(instruction, words) >= ENOUGH else "cannot tell"


def _speaks_of_absent_material(instruction: Instruction) -> bool:
    """Whether the text points to material, and neither the input nor the rest of the text holds any."""
    found = _ABSENT.search(instruction.text)
    return found is not None and not instruction.input.strip() and not _PRESENT.search(instruction.text, found.end())
