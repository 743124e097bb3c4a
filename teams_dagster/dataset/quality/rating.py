"""The judge's rating of one pair: can the instruction be answered as it stands, and does the answer do what it asks?"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Intent, Purpose, Request, Role
from teams_dagster.core.replies import Choice
from teams_dagster.instructions.prompts import MARK_DIGITS, Prompt, prompt
from teams_dagster.instructions.requests import VERDICT

RATE_FILE = Path(__file__).with_name("rate.md")


class Rating(StrEnum):
    """What the judge said of a pair. The names of the bad ones are the reasons that a pair is dropped for."""

    UNANSWERABLE = "unanswerable"
    OFF_TOPIC = "off_topic"
    CONSTRAINT_IGNORED = "constraint_ignored"
    PARTLY = "partly"
    GOOD = "good"
    CANNOT_TELL = "cannot_tell"
    """It says that it does not know: no score."""
    UNCLEAR = "unclear"
    """It said none of these, or more than that: no score."""


REPLIES = {rating.value.replace("_", " "): rating for rating in Rating if rating is not Rating.UNCLEAR}
"""What `rate.md` asks for, to what it means."""

RATINGS = Choice("rating", tuple(REPLIES))


def rate_prompt() -> Prompt:
    """The prompt of the rating. No prompt of a generation: what is in it changes no instruction and no answer."""
    return prompt("rate", shipped=RATE_FILE.parent)


def rate_query(instruction: Instruction, answer: str) -> Request:
    """Ask the judge to rate a pair.

    The tags around each text carry a mark that is a hash of all of them: no text can hold the mark of the query it is
    in, so none can close its tags and speak as the query.
    """
    template = rate_prompt()
    return Request(
        role=Role.JUDGE,
        intent=Intent(Purpose.RATE, before=instruction, answer=answer),
        messages=template.render(
            instruction=instruction.text,
            input=instruction.input,
            answer=answer,
            mark=content_hash("rated", instruction.text, instruction.input, answer)[:MARK_DIGITS],
        ),
        prompt_version=template.version,
        sampling=VERDICT,
        allowed=RATINGS,
    )


_MARKS = r"[\W_]*"
_SPACE = r"[\s_-]+"
_NAMED = "|".join(_SPACE.join(reply.split()) for reply in REPLIES)
_RATING = re.compile(
    rf"{_MARKS}(?:(?:(?:my|the|final)\s+)*(?:rating|verdict|answer|result|it)\b(?:\s+is\b)?{_MARKS})?"
    rf"(?P<rating>{_NAMED}){_MARKS}",
    re.IGNORECASE,
)


def parse_rating(text: str) -> Rating:
    """Read a reply that should say only one of `REPLIES`.

    Case, punctuation, mark-up and `Rating:` before it do no harm. Any other word or a second rating make a reply
    unclear, so that an answer that is rated cannot smuggle in one.
    """
    found = _RATING.fullmatch(text)
    return Rating.UNCLEAR if found is None else REPLIES[" ".join(re.split(_SPACE, found["rating"].lower()))]
