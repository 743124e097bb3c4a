"""The unit that is rewritten, reviewed, hashed and answered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from teams_dagster.core.hashing import content_hash


@dataclass(frozen=True)
class Instruction:
    """An instruction with its optional input (the material it works on)."""

    text: str
    input: str = ""

    @cached_property
    def instruction_id(self) -> str:
        """Content hash of text and input: the same pair has the same id wherever it is reached."""
        return content_hash("instruction", self.text, self.input)


_INPUT_HEADING = "\n\n### Input:\n"


def user_message(instruction: Instruction) -> str:
    """The user's turn: the text, and the input under its own heading (Alpaca's) when there is one."""
    if not instruction.input:
        return instruction.text
    return f"{instruction.text}{_INPUT_HEADING}{instruction.input}"


def from_user_message(message: str) -> Instruction:
    """The instruction of a user's turn, as `user_message` writes it."""
    text, _, material = message.partition(_INPUT_HEADING)
    return Instruction(text, material)
