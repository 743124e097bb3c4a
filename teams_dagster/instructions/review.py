"""The reviewer's verdict: does the rewrite still ask the same thing? (TeaMs-RL: the reward's core)"""

from __future__ import annotations

import re
from enum import StrEnum


class Verdict(StrEnum):
    """What the reviewer said of a rewrite."""

    EQUAL = "equal"
    NOT_EQUAL = "not_equal"
    UNCLEAR = "unclear"
    """It said neither, both, or more than that. Not accepted, reward 0, counted."""


_MARKS = r"[\W_]*"

_VERDICT = re.compile(
    rf"{_MARKS}(?:(?:(?:my|the|final)\s+)*(?:answer|verdict|result|conclusion)\b(?:\s+is\b)?{_MARKS})?"
    r"(?:(?:they|both|these|the)(?:\s+two)?(?:\s+(?:instructions|texts|prompts))?\s+are\s+)?"
    rf"(?P<verdict>not[\s_-]+equal|equal){_MARKS}",
    re.IGNORECASE,
)


def parse_verdict(text: str) -> Verdict:
    """Read a reply that should say only "Equal" or "Not Equal".

    Case, punctuation, mark-up, `Answer:` before the verdict and `They are not equal` do no harm. Any other word, a
    quoted text or a second verdict make a reply unclear, so that a text under review cannot smuggle in one.
    """
    found = _VERDICT.fullmatch(text)
    if found is None:
        return Verdict.UNCLEAR
    return Verdict.NOT_EQUAL if found["verdict"].lower().startswith("not") else Verdict.EQUAL
