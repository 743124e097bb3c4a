"""The guide's question and its answer: which operation next? (RLGF: a black-box model that proposes actions)"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Intent, Purpose, Request, Role, Sampling
from teams_dagster.instructions.prompts import prompt

NAMING = Sampling(temperature=0.7, top_p=0.95, max_tokens=32)
"""A sample from the guide: only samples of it are used, never its probabilities."""

NOTHING_YET = "none yet"

_WORD = re.compile(r"[a-z]+")


def guide_question(
    instruction: Instruction,
    history: Sequence[tuple[Operation, bool]],
    steps_left: int,
    *,
    may_rest: bool,
    replica: int = 0,
) -> Request:
    """Ask the guide for the next operation on `instruction`.

    `history` holds each operation so far and whether its edit was accepted, oldest first; `may_rest` offers `none`.
    """
    template = prompt("guide")
    return Request(
        role=Role.GUIDE,
        intent=Intent(Purpose.GUIDE, before=instruction),
        messages=template.render(
            instruction=instruction.text,
            input=instruction.input,
            history="\n".join(_line(operation, accepted) for operation, accepted in history) or NOTHING_YET,
            steps_left=str(steps_left),
            may_rest="yes" if may_rest else "",
        ),
        prompt_version=template.version,
        sampling=NAMING,
        replica=replica,
    )


def _line(operation: Operation, accepted: bool) -> str:
    if operation is Operation.NONE:
        return f"- {operation.value}"
    return f"- {operation.value}: {'accepted' if accepted else 'refused'}"


def parse_operation(reply: str, allowed: Collection[Operation]) -> Operation | None:
    """The one operation of `allowed` that `reply` names; None when it names none of them, or several.

    Case, punctuation, markup and words around the name do no harm; spaces and hyphens may stand for underscores.
    """
    words = f"_{'_'.join(_WORD.findall(reply.lower()))}_"
    found = [operation for operation in allowed if f"_{operation.value}_" in words]
    return found[0] if len(found) == 1 else None
