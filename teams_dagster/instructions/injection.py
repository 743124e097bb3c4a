"""Texts that speak to the reviewer instead of to an assistant.

A reviewer is a language model: it is told not to follow what stands between the tags, and it may follow it all the
same. So a text that imitates these tags, orders a verdict or calls off the task is not shown to it: the edit is
eliminated by name. Seeds are no exception, for the reviewer reads them too. What says the same in other words cannot be
told from an instruction by any pattern.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache

from teams_dagster.core.instruction import Instruction

_TAG = r"<\s*/?\s*(?:first|second)\b"

_VERDICT = (
    r"[\W_]{0,4}(?:not[\s_-]+)?equal\b(?=[\W_]*(?:$|[.!,;:)\]}\"'*_`]|\n|\b(?:and|or|whatever|no matter|only)\b))"
)

_ORDER = (
    r"\b(?:answer|reply|respond|say|output|print|return|write|state|conclude|verdict)(?:ing|ed|s)?\b"
    rf"(?:[\W_]{{1,4}}(?:is|are|it|must|should|be|with|by|the|words?|only|just|always|that|they|as|following)\b){{0,5}}{_VERDICT}"
)

_STATED = (
    rf"\b(?:instructions|prompts|texts)[\W_]{{1,4}}(?:above[\W_]{{1,4}}|below[\W_]{{1,4}})?(?:are|is|as|were){_VERDICT}"
)

_CALLED_OFF = (
    r"\b(?:ignore|disregard|forget|override)[\W_]{1,4}(?:(?:all|any|every|the|of|my|your|these|those)[\W_]{1,4}){0,4}"
    r"(?:previous|prior|above|preceding|earlier|foregoing|system)[\W_]{1,4}"
    r"(?:instructions?|prompts?|rules?|messages?|texts?|directions?)\b"
)

_TO_THE_REVIEWER = re.compile("|".join((_TAG, _ORDER, _STATED, _CALLED_OFF)))


_SIGNS = ("equal", "<", "ignor", "disregard", "forget", "overrid")
"""Each of the patterns holds one of these, and few texts do."""


def speaks_to_the_reviewer(instruction: Instruction) -> bool:
    """Whether a text, or its input, imitates the marks of the review's prompt, orders a verdict or calls off the task.

    Look-alikes count: full-width letters, invisible characters between letters, HTML character references.
    """
    return any(map(_speaks, (instruction.text, instruction.input)))


@lru_cache(maxsize=4_096)
def _speaks(text: str) -> bool:
    """Kept for a while: a text is read again with each edit of it."""
    plain = _plainly(text).lower()
    return any(sign in plain for sign in _SIGNS) and _TO_THE_REVIEWER.search(plain) is not None


def _plainly(text: str) -> str:
    """`text` as a reader takes it: compatible letters alike, nothing invisible, character references resolved."""
    unescaped = html.unescape(text) if "&" in text else text
    if unescaped.isascii():
        return unescaped
    seen = (c for c in unicodedata.normalize("NFKC", unescaped) if unicodedata.category(c) != "Cf")
    return "".join(seen)
