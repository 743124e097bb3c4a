"""The questions that the method asks: which prompt, which parameters, which intent."""

from __future__ import annotations

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Intent, Purpose, Request, Role, Sampling
from teams_dagster.instructions.prompts import prompt

CREATIVE = Sampling(temperature=0.7, top_p=0.95, max_tokens=2048)
"""For rewrites and answers (the reference's expert: temperature 0.7, top_p 0.95, 2048 tokens)."""

VERDICT = Sampling(temperature=0.0, top_p=1.0, max_tokens=16)
"""For verdicts: the reviewer says two words, and the same two words each time."""


def rewrite_question(role: Role, operation: Operation, instruction: Instruction, replica: int = 0) -> Request:
    """Ask `role` to perform `operation` on `instruction`."""
    template = prompt(operation.value)
    return Request(
        role=role,
        intent=Intent(Purpose.REWRITE, before=instruction, operation=operation),
        messages=template.render(instruction=instruction.text, input=instruction.input),
        prompt_version=template.version,
        sampling=CREATIVE,
        replica=replica,
    )


def review_question(before: Instruction, after: Instruction, replica: int = 0) -> Request:
    """Ask the reviewer whether `after` still asks what `before` asked."""
    template = prompt("review")
    return Request(
        role=Role.REVIEWER,
        intent=Intent(Purpose.REVIEW, before=before, after=after),
        messages=template.render(
            instruction=before.text, input=before.input, new_instruction=after.text, new_input=after.input
        ),
        prompt_version=template.version,
        sampling=VERDICT,
        replica=replica,
    )


def respond_question(instruction: Instruction, replica: int = 0) -> Request:
    """Ask the expert to answer `instruction`."""
    template = prompt("respond")
    return Request(
        role=Role.EXPERT,
        intent=Intent(Purpose.RESPOND, before=instruction),
        messages=template.render(instruction=instruction.text, input=instruction.input),
        prompt_version=template.version,
        sampling=CREATIVE,
        replica=replica,
    )
