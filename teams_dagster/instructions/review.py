"""The reviewer's verdict: does the rewrite still ask the same thing? (TeaMs-RL: the reward's core)"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Review:
    """What the reviewer said of a rewrite."""

    verdict: Verdict
    probability: float | None = None
    """P(Not Equal), given that one of the two verdicts is said. None where no probabilities came back, and where the
    verdict is unclear."""


def read_review(text: str, probabilities: Mapping[str, float] | None) -> Review:
    """The review in a reply; `probabilities` are those of the replies that were allowed, where they came back."""
    verdict = parse_verdict(text)
    if verdict is Verdict.UNCLEAR or probabilities is None:
        return Review(verdict)
    shares = {parse_verdict(reply): share for reply, share in probabilities.items()}
    total = shares.get(Verdict.EQUAL, 0.0) + shares.get(Verdict.NOT_EQUAL, 0.0)
    return Review(verdict, shares.get(Verdict.NOT_EQUAL, 0.0) / total if total else None)


EVEN = 0.5
"""The mean P(Not Equal) at which two orders that disagree are Not Equal."""


@dataclass(frozen=True)
class BothOrders:
    """What the reviewer said of a rewrite with the two texts in their order, and the other way round."""

    shown: Review
    turned: Review

    @property
    def together(self) -> Review:
        """One review out of the two.

        Unclear where either is. P(Not Equal) is the mean where both have it. Where the verdicts agree, that is the
        verdict; where they do not, Not Equal at a mean of `EVEN` or more, and Equal where there is no mean.
        """
        if self._unclear:
            return Review(Verdict.UNCLEAR)
        first, second = self.shown.probability, self.turned.probability
        mean = None if first is None or second is None else (first + second) / 2
        if self.shown.verdict is self.turned.verdict:
            return Review(self.shown.verdict, mean)
        return Review(Verdict.NOT_EQUAL if mean is not None and mean >= EVEN else Verdict.EQUAL, mean)

    @property
    def agree(self) -> bool | None:
        """Whether the verdicts are the same; None where one is unclear."""
        return None if self._unclear else self.shown.verdict is self.turned.verdict

    @property
    def difference(self) -> float | None:
        """P(Not Equal) in the first order less that in the other; None where one of them is not known."""
        first, second = self.shown.probability, self.turned.probability
        return None if first is None or second is None else first - second

    @property
    def _unclear(self) -> bool:
        return Verdict.UNCLEAR in (self.shown.verdict, self.turned.verdict)
