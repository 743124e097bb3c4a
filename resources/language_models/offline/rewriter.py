"""The six operations, performed on the text by rule."""

from __future__ import annotations

from resources.language_models.offline.breadth import sibling
from resources.language_models.offline.clauses import add_clause
from resources.language_models.offline.concretizing import concretize
from resources.language_models.offline.kinds import Reading, read
from resources.language_models.offline.rewording import reword
from resources.language_models.offline.structuring import complicate
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation, Returns


def rewrite(operation: Operation, before: Instruction, replica: int) -> str:
    """The reply to a rewrite: the bare text, or text and input in the stated format.

    An operation that has nothing left to add rewords the text. Raises ValueError for an operation without a rule.
    """
    reading = read(before.text, before.input)
    if operation.returns is Returns.INSTRUCTION:
        return _edited(operation, reading, replica) or reword(before.text, replica)
    if operation.returns is Returns.INSTRUCTION_AND_INPUT:
        found = _remade(operation, reading, replica) or (reword(before.text, replica), before.input)
        return f"Instruction: {found[0]}\nInput: {found[1].strip() or 'None'}"
    raise ValueError(f"operation {operation.value!r} asks nothing, so the offline model has no reply for it")


def _edited(operation: Operation, reading: Reading, replica: int) -> str | None:
    match operation:
        case Operation.ADD_CONSTRAINTS | Operation.DEEPENING | Operation.INCREASE_REASONING_STEPS:
            return add_clause(operation, reading, replica)
        case Operation.CONCRETIZING:
            return concretize(reading, replica)
        case _:
            raise ValueError(f"the offline model has no rule for operation {operation.value!r}; add one here")


def _remade(operation: Operation, reading: Reading, replica: int) -> tuple[str, str] | None:
    match operation:
        case Operation.BREADTH:
            return sibling(reading, replica)
        case Operation.COMPLICATE_INPUT:
            return complicate(reading, replica)
        case _:
            raise ValueError(f"the offline model has no rule for operation {operation.value!r}; add one here")
