"""Reading a rewrite out of a model's reply."""

from __future__ import annotations

import re

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation, Returns

_BOTH = re.compile(r"\A\s*Instruction:[ \t]*(?P<text>.*?)\s*^Input:[ \t]*(?P<input>.*?)\s*\Z", re.DOTALL | re.MULTILINE)

NO_INPUT = "None"
"""What a reply writes after `Input:` when the new instruction has none."""


class MalformedReply(ValueError):
    """A reply that is not in the format its prompt states."""


def parse_rewrite(operation: Operation, parent: Instruction, reply: str) -> Instruction:
    """The instruction that `reply` holds.

    An operation that returns the instruction alone keeps the parent's input verbatim; one that returns both states
    them after `Instruction:` and `Input:`. Raises MalformedReply where a part is missing or empty.
    """
    if operation.returns is Returns.INSTRUCTION:
        if not (text := reply.strip()):
            raise MalformedReply("the reply is empty; a rewritten instruction was expected")
        return Instruction(text, parent.input)
    if operation.returns is Returns.NOTHING:
        raise MalformedReply(f"operation {operation.value!r} asks nothing, so no reply belongs to it")
    match = _BOTH.match(reply)
    if match is None or not match["text"].strip():
        raise MalformedReply(
            f"the reply to {operation.value!r} must be 'Instruction: ...' and then 'Input: ...' on a new line;"
            f" it begins with {reply[:60]!r}"
        )
    material = match["input"].strip()
    return Instruction(
        match["text"].strip(), "" if material.rstrip(".").casefold() == NO_INPUT.casefold() else material
    )
