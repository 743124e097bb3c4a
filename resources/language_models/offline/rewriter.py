"""The operations, performed on the text by rule."""

from __future__ import annotations

from resources.language_models.offline.kinds import read
from resources.language_models.offline.rewording import reword
from resources.language_models.offline.rules import RULES
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation, Returns


def rewrite(operation: Operation, before: Instruction, replica: int) -> str:
    """The reply to a rewrite: the bare text, or text and input in the stated format.

    An operation that has nothing left to add rewords the text. Raises ValueError for an operation without a rule.
    """
    if operation.returns is Returns.NOTHING:
        raise ValueError(f"operation {operation.value!r} asks nothing, so the offline model has no reply for it")
    if operation not in RULES:
        raise ValueError(f"the offline model has no rule for operation {operation.value!r}; add one to `rules.RULES`")
    edited = RULES[operation].edit(read(before.text, before.input), replica) or reword(before.text, replica)
    text, material = (edited, before.input) if isinstance(edited, str) else edited
    if operation.returns is Returns.INSTRUCTION:
        return text
    return f"Instruction: {text}\nInput: {material.strip() or 'None'}"
