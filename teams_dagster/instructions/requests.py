"""The requests that the method makes, each with its prompt, parameters and intent; and what their replies say.

A rewrite is read out of its reply, and so is the operation that a guide names (RLGF: a black-box model that proposes
actions).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, GenericRewrite, Operation, Returns, Rewriting
from teams_dagster.core.protocol import Intent, Purpose, Request, Role, Sampling
from teams_dagster.core.replies import Choice, Parts
from teams_dagster.instructions.prompts import Prompt, prompt

NAMING = Sampling(temperature=0.7, top_p=0.95, max_tokens=32)
"""A sample from the guide: only samples of it are used, never its probabilities."""


NOTHING_YET = "none yet"


_WORD = re.compile(r"[a-z]+")


def guide_query(
    instruction: Instruction,
    history: Sequence[tuple[Rewriting, bool]],
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
        allowed=Choice(
            "operation", tuple(op.value for op in (*TEXT_OPERATIONS, *([Operation.NONE] if may_rest else [])))
        ),
    )


def _line(operation: Rewriting, accepted: bool) -> str:
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


_BOTH = re.compile(r"\A\s*Instruction:[ \t]*(?P<text>.*?)\s*^Input:[ \t]*(?P<input>.*?)\s*\Z", re.DOTALL | re.MULTILINE)


NO_INPUT = "None"
"""What a reply writes after `Input:` when the new instruction has none."""


class MalformedReply(ValueError):
    """A reply that is not in the format its prompt states."""


def parse_rewrite(operation: Rewriting, parent: Instruction, reply: str) -> Instruction:
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


TWO_PARTS = Parts(("Instruction", "Input"))
"""The reply format that `prompts/_reply_with_input.md` states."""

VERDICTS = Choice("verdict", ("Equal", "Not Equal"))
"""What `prompts/review.md` asks for."""

CREATIVE = Sampling(temperature=0.7, top_p=0.95, max_tokens=2048)
"""For rewrites and answers (the reference's expert: temperature 0.7, top_p 0.95, 2048 tokens)."""

REWRITE_ROOM = {Returns.INSTRUCTION: 256, Returns.INSTRUCTION_AND_INPUT: 768}
"""Tokens that a rewrite may add to what it returns: a constraint or a question; or a new text with a table or code."""


def reply_limit(request: Request) -> int:
    """Tokens that the reply to `request` can need, at most what the request says.

    A rewrite: `REWRITE_ROOM` and one token for each byte (UTF-8) of what its operation returns, which is four times
    an English text and twice a Chinese one. Any other reply: what the request says.
    """
    intent, limit = request.intent, request.sampling.max_tokens
    if intent.purpose is not Purpose.REWRITE or intent.operation is None:
        return limit
    returns = intent.operation.returns
    returned = intent.before.text + (intent.before.input if returns is Returns.INSTRUCTION_AND_INPUT else "")
    return min(limit, REWRITE_ROOM.get(returns, limit) + len(returned.encode()))


VERDICT = Sampling(temperature=0.0, top_p=1.0, max_tokens=16)
"""For verdicts: the reviewer says two words, and the same two words each time."""


HARDER_FILE = Path(__file__).with_name("harder.md")


def rewrite_prompt(operation: Rewriting) -> Prompt:
    """The prompt of a rewrite. That of `harder` is no prompt of the dataset: it changes no policy and no generation."""
    return (
        prompt(operation.value, HARDER_FILE.parent)
        if isinstance(operation, GenericRewrite)
        else prompt(operation.value)
    )


def rewrite_query(role: Role, operation: Rewriting, instruction: Instruction, replica: int = 0) -> Request:
    """Ask `role` to perform `operation` on `instruction`."""
    template = rewrite_prompt(operation)
    return Request(
        role=role,
        intent=Intent(Purpose.REWRITE, before=instruction, operation=operation),
        messages=template.render_marked(instruction=instruction.text, input=instruction.input),
        prompt_version=template.version,
        sampling=CREATIVE,
        replica=replica,
        allowed=TWO_PARTS if operation.returns is Returns.INSTRUCTION_AND_INPUT else None,
    )


def review_query(before: Instruction, after: Instruction, replica: int = 0) -> Request:
    """Ask the reviewer whether `after` still asks what `before` asked."""
    template = prompt("review")
    return Request(
        role=Role.REVIEWER,
        intent=Intent(Purpose.REVIEW, before=before, after=after),
        messages=template.render_marked(
            instruction=before.text, input=before.input, new_instruction=after.text, new_input=after.input
        ),
        prompt_version=template.version,
        sampling=VERDICT,
        replica=replica,
        allowed=VERDICTS,
    )


def respond_query(instruction: Instruction, replica: int = 0) -> Request:
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
