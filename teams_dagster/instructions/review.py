"""The reviewer's verdict: does the rewrite still ask the same thing? (TeaMs-RL: the reward's core)"""

from __future__ import annotations

import re
from enum import StrEnum


class Verdict(StrEnum):
    """What the reviewer said of a rewrite."""

    EQUAL = "equal"
    NOT_EQUAL = "not_equal"
    UNCLEAR = "unclear"
    """It said neither, or both. Not accepted, reward 0, counted."""


_VERDICT = re.compile(r"\bnot[\s_-]+equal\b|\bequal\b", re.IGNORECASE)


def parse_verdict(text: str) -> Verdict:
    """Read a reply that should say only "Equal" or "Not Equal".

    Case, punctuation, markup and words around the verdict do no harm; a reply that holds both verdicts, or none, is
    unclear, so that a text under review cannot smuggle in a second one.
    """
    found = {"not_equal" if match.lower().startswith("not") else "equal" for match in _VERDICT.findall(text)}
    return Verdict(found.pop()) if len(found) == 1 else Verdict.UNCLEAR
