"""The score of a pair: what the judge said of it, and which of its instruction's constraints a program finds broken.

| rating | score | dropped as |
|---|---|---|
| good | 1 | |
| partly | 0.5 | `partly` |
| constraint ignored | 0.25 | `constraint_ignored` |
| off topic | 0 | `off_topic` |
| unanswerable | 0 | `unanswerable` |
| cannot tell, an unclear reply, no reply | none | |

A broken constraint that a program found caps the score at 0.25 times the share of constraints that are kept. Without a
judge, pairs in which a program finds no constraint have no score, and the others 1 where all are kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.quality.constraints.checking import broken, constraints_of
from teams_dagster.dataset.quality.constraints.constraint import Constraint
from teams_dagster.dataset.quality.rating import Rating

UNANSWERED = "unanswered"
"""In the place of a rating: the query failed for good."""

IGNORED = 0.25
"""The score of an answer that ignores a constraint, at most."""

_SCORES = {
    Rating.GOOD: 1.0,
    Rating.PARTLY: 0.5,
    Rating.CONSTRAINT_IGNORED: IGNORED,
    Rating.OFF_TOPIC: 0.0,
    Rating.UNANSWERABLE: 0.0,
}

WITHOUT_SCORE = 0.49
"""Where an answer without a score stands among others: behind one that does a part, before a bad one."""


class Fault(StrEnum):
    """Why a pair is dropped whose score is too low."""

    UNANSWERABLE = "unanswerable"
    OFF_TOPIC = "off_topic"
    CONSTRAINT_IGNORED = "constraint_ignored"
    PARTLY = "partly"


@dataclass(frozen=True)
class Pair:
    """An answer to an instruction, to be scored."""

    sample_id: str
    transition_id: str
    partition_key: str
    answer: int
    """Which of the sample's answers, from 0."""
    instruction: Instruction
    response: str
    respond_request_id: str | None


@dataclass(frozen=True)
class PairScore:
    """What is known of a pair."""

    pair: Pair
    rating: str | None
    """A Rating, or UNANSWERED; None where the judge was not asked."""
    judge_request_id: str | None = None
    prompt_version: str | None = None

    @cached_property
    def constraints(self) -> tuple[Constraint, ...]:
        """Those of the instruction that a program can check."""
        return constraints_of(self.pair.instruction.text)

    @cached_property
    def broken(self) -> tuple[Constraint, ...]:
        """Those of them that the answer breaks."""
        return broken(self.constraints, self.pair.response)

    @property
    def score(self) -> float | None:
        """From 0 to 1; None where nobody can tell."""
        judged = None if self.rating is None or self.rating == UNANSWERED else _SCORES.get(Rating(self.rating))
        if self.broken:
            kept = IGNORED * (1 - len(self.broken) / len(self.constraints))
            return kept if judged is None else min(judged, kept)
        return 1.0 if self.rating is None and self.constraints else judged

    def row(self, *, chosen: bool) -> dict[str, object]:
        """Its row of table `pair_scores` (all columns but `run_id`)."""
        found = [{"kind": constraint.kind.value, "said": constraint.said} for constraint in self.broken]
        return {
            "sample_id": self.pair.sample_id,
            "answer": self.pair.answer,
            "partition_key": self.pair.partition_key,
            "chosen": chosen,
            "constraints": len(self.constraints),
            "broken": len(self.broken),
            "score": self.score,
            "rating": self.rating,
            "broken_constraints": json.dumps(found, ensure_ascii=False) if found else None,
            "respond_request_id": self.pair.respond_request_id,
            "judge_request_id": self.judge_request_id,
            "prompt_version": self.prompt_version,
        }


def best_of(scores: Sequence[float | None]) -> int:
    """The place of the best score, the first of equals. Raises ValueError for none."""
    ranks = [WITHOUT_SCORE if score is None else score for score in scores]
    return ranks.index(max(ranks))


def fault_of(score: float | None, rating: str | None, broken: int, least: float) -> Fault | None:
    """Why a pair of this score is dropped where `least` is asked for; None where it is kept, and where nobody can tell.

    Args:
        score: Of the pair.
        rating: What the judge said.
        broken: Constraints that the answer breaks.
        least: The lowest score that is kept.
    """
    if score is None or score >= least:
        return None
    if rating in (Fault.UNANSWERABLE, Fault.OFF_TOPIC):
        return Fault(rating)
    return Fault.CONSTRAINT_IGNORED if broken or rating == Fault.CONSTRAINT_IGNORED else Fault.PARTLY
