"""The judge's query, two answers to one instruction, and its verdict."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Intent, Purpose, Request, Role
from teams_dagster.core.replies import Choice
from teams_dagster.instructions.prompts import Prompt, prompt
from teams_dagster.instructions.requests import VERDICT

JUDGE_FILE = Path(__file__).with_name("judge.md")

MARK_DIGITS = 12

PREFERENCES = Choice("better", ("A", "B", "tie"))
"""What `judge.md` asks for."""


class Preference(StrEnum):
    """What the judge said of two answers."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"
    UNCLEAR = "unclear"
    """It said none of these, or more than one of them."""


def judge_prompt() -> Prompt:
    """The judge's prompt. No prompt of the dataset: what is in it changes no policy and no generation."""
    return prompt("judge", shipped=JUDGE_FILE.parent)


def judge_query(instruction: Instruction, first: str, second: str) -> Request:
    """Ask the judge which of two answers is better.

    The tags around each text carry a mark that is a hash of all of them: no text can hold the mark of the query it
    is in, so none can close its tags and speak as the query.
    """
    template = judge_prompt()
    return Request(
        role=Role.JUDGE,
        intent=Intent(Purpose.JUDGE, before=instruction, answers=(first, second)),
        messages=template.render(
            instruction=instruction.text,
            input=instruction.input,
            first=first,
            second=second,
            mark=content_hash("judged", instruction.text, instruction.input, first, second)[:MARK_DIGITS],
        ),
        prompt_version=template.version,
        sampling=VERDICT,
        allowed=PREFERENCES,
    )


_MARKS = r"[\W_]*"
_VERDICT = re.compile(
    rf"{_MARKS}(?:(?:(?:my|the|final)\s+)*(?:verdict|result|conclusion)\b(?:\s+is\b)?{_MARKS})?"
    r"(?:(?:the\s+)?(?:better\s+)?(?:answer|assistant|response)\b(?:\s+is\b)?[\W_]*)?"
    rf"(?P<verdict>a|b|tie){_MARKS}(?:is\s+(?:the\s+)?better(?:\s+(?:answer|one))?{_MARKS})?",
    re.IGNORECASE,
)
_PREFERENCES = {"a": Preference.FIRST, "b": Preference.SECOND, "tie": Preference.TIE}


def parse_preference(text: str) -> Preference:
    """Read a reply that should say only "A", "B" or "tie".

    Case, punctuation, mark-up, `Verdict:` or `The better answer is` before it and `is better` after it do no harm. Any
    other word or a second verdict make a reply unclear, so that an answer under judgement cannot smuggle in one.
    """
    found = _VERDICT.fullmatch(text)
    return Preference.UNCLEAR if found is None else _PREFERENCES[found["verdict"].lower()]
