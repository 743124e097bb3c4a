"""The labelled pairs: what a reviewer and a judge are measured and calibrated on.

People wrote and labelled them before any model was tried. A pair is never changed to move a model's result: a new
opinion is a new pair, and a new version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.quality.rating import Rating
from teams_dagster.evaluation.judging import Preference
from teams_dagster.instructions.review import Verdict

FOLDER = Path(__file__).parent


class Split(StrEnum):
    """What a pair is for: no pair that sets a threshold also tests it."""

    CALIBRATE = "calibrate"
    TEST = "test"


class _Labelled(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    instruction: str = Field(min_length=1)
    input: str
    reason: str = Field(min_length=1)
    """Why it is labelled so."""


class _Pair(_Labelled):
    kind: str = Field(min_length=1)
    """What distinguishes the two texts: `paraphrase`, `changed_number`, `complete_cut_off`, ..."""
    split: Split


class ReviewPair(_Pair):
    """An instruction and an edit of it, with the verdict that a reviewer should give."""

    new_instruction: str = Field(min_length=1)
    new_input: str
    label: Literal[Verdict.EQUAL, Verdict.NOT_EQUAL]

    @property
    def before(self) -> Instruction:
        """The instruction that was edited."""
        return Instruction(self.instruction, self.input)

    @property
    def after(self) -> Instruction:
        """The edit."""
        return Instruction(self.new_instruction, self.new_input)


class JudgePair(_Pair):
    """An instruction with two answers, and which of them a judge should prefer."""

    first: str = Field(min_length=1)
    second: str = Field(min_length=1)
    label: Literal[Preference.FIRST, Preference.SECOND, Preference.TIE]

    @property
    def asked(self) -> Instruction:
        """The instruction that both answer."""
        return Instruction(self.instruction, self.input)


class RatingPair(_Labelled):
    """An instruction with one answer, and the rating that a judge should give."""

    answer: str = Field(min_length=1)
    label: Literal[Rating.UNANSWERABLE, Rating.OFF_TOPIC, Rating.CONSTRAINT_IGNORED, Rating.GOOD]
    code: bool
    """Whether a program can tell that a constraint is broken."""

    @property
    def asked(self) -> Instruction:
        """The instruction that is answered."""
        return Instruction(self.instruction, self.input)

    @property
    def good(self) -> bool:
        """Whether it should stay."""
        return self.label is Rating.GOOD


AnyPair = TypeVar("AnyPair", ReviewPair, JudgePair, RatingPair)


class PairsError(ValueError):
    """A file of labelled pairs that cannot be used: file, line and what is wrong with it."""


@cache
def review_pairs() -> tuple[ReviewPair, ...]:
    """The reviewer's pairs, in the order of their file."""
    return read_pairs(FOLDER / "review_pairs.jsonl", ReviewPair)


@cache
def judge_pairs() -> tuple[JudgePair, ...]:
    """The judge's pairs, in the order of their file."""
    return read_pairs(FOLDER / "judge_pairs.jsonl", JudgePair)


@cache
def rating_pairs() -> tuple[RatingPair, ...]:
    """The pairs by which the judge's ratings are tried, in the order of their file."""
    return read_pairs(FOLDER / "rating_pairs.jsonl", RatingPair)


def read_pairs(path: Path, pair: type[AnyPair]) -> tuple[AnyPair, ...]:
    """The pairs in a JSONL file, in its order.

    Raises PairsError for a line that is no such pair and for an id that two of them have.
    """
    pairs: list[AnyPair] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            pairs.append(pair.model_validate_json(line))
        except ValidationError as error:
            raise PairsError(f"{path.name}, line {number}: {error}") from error
    twice = [name for name, count in Counter(one.id for one in pairs).items() if count > 1]
    if twice:
        raise PairsError(f"{path.name}: more than one pair has the id {', '.join(twice)}")
    return tuple(pairs)


def pairs_version(pairs: Iterable[ReviewPair | JudgePair | RatingPair]) -> str:
    """Content hash of pairs, with their labels and reasons."""
    return content_hash("labelled pairs", [pair.model_dump(mode="json") for pair in pairs])
