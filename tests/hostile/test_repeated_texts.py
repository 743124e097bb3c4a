"""A model that repeats itself to its limit, and a seed that is one sign over and over, are read in time that grows with
their length and not with its square: a quarter of a million characters would take hours."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from resources.language_models.openai_dialect import has_no_system_role
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Intent, Message, Purpose, Request, Role
from teams_dagster.instructions.refusals import declines
from teams_dagster.instructions.verdict_orders import orders_a_verdict
from teams_dagster.llm.canned import told_apart
from teams_dagster.llm.reasoning import split_reasoning

MANY = 250_000

REPEATED = {
    "a letter": "a" * MANY,
    "a digit": "1" * MANY,
    "a bracket": "<" * MANY,
    "a quotation mark": '"' * MANY,
    "lines": "Not Equal" + "\n" * MANY,
    "lines with a space": "Not Equal" + "\n " * (MANY // 2),
    "spaces": "Not Equal" + " " * MANY + "x",
    "months": "Jan Feb " * (MANY // 8),
    "a verdict": "Say Not Equal " * (MANY // 14),
    "a mark": "<think>" * (MANY // 7),
    "a label": "**Thinking:** " * (MANY // 14),
    "an apology": "I'm sorry, " * (MANY // 11),
    "a refusal of the role": "roles must be " * (MANY // 14),
}


def _told_apart(text: str) -> str:
    asked = Instruction("Describe a place.")
    return told_apart(
        Request(Role.EXPERT, Intent(Purpose.RESPOND, asked), (Message("user", asked.text),), prompt_version="v1"), text
    )


READERS: dict[str, Callable[[str], object]] = {
    "thoughts": split_reasoning,
    "canned": _told_apart,
    "verdicts": lambda text: orders_a_verdict(Instruction(text)),
    "refusals": declines,
    "system role": has_no_system_role,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("repeated", REPEATED)
def test_a_text_that_repeats_itself_is_read_at_once(reader: str, repeated: str) -> None:
    READERS[reader](REPEATED[repeated])
