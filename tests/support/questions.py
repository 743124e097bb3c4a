"""Questions as the method asks them."""

from __future__ import annotations

from typing import Any

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Intent, Message, Purpose, Request, Role


def question(text: str = "Say something.", *, role: Role = Role.EXPERT, **changes: Any) -> Request:
    """A question for an answer to `text`."""
    messages = (Message("system", "Be brief."), Message("user", text))
    return Request(role, Intent(Purpose.RESPOND, Instruction(text)), messages, "prompt-1", **changes)


def rewrite(text: str, operation: Operation, *, role: Role = Role.INSTRUCTOR, **changes: Any) -> Request:
    """A question for a rewrite of `text`."""
    intent = Intent(Purpose.REWRITE, Instruction(text), operation=operation)
    messages = (Message("user", f"{operation.value}: {text}"),)
    return Request(role, intent, messages, f"prompt-{operation.value}", **changes)
