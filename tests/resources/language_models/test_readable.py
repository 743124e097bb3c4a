"""Which replies count as none, for each kind of query."""

from __future__ import annotations

import pytest

from resources.language_models.readable import fault
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Request, Role
from teams_dagster.instructions.requests import guide_query, respond_query, review_query, rewrite_query
from teams_dagster.llm.unusable import DECLINED, ECHOED, UNREADABLE
from teams_dagster.rlgf.guides import Question
from teams_dagster.rlgf.role_guide import continuation_query

TEXT = Instruction("Explain how the tide rises.")
SORRY = "I'm sorry, but I can't help with that."
REWRITE = rewrite_query(Role.INSTRUCTOR, Operation.DEEPENING, TEXT)
ANSWER = respond_query(TEXT)
VERDICT = review_query(TEXT, Instruction(f"{TEXT.text} Name two causes."))
CHOICE = guide_query(TEXT, [], 3, may_rest=True)
CONTINUATION = continuation_query(Question("The tide", " rises because of the moon", 4, "key"))


@pytest.mark.parametrize(
    ("asked", "reply", "why"),
    [
        (ANSWER, "The moon pulls the water.", None),
        (ANSWER, SORRY, DECLINED),
        (ANSWER, "抱歉，我无法回答这个问题。", DECLINED),
        (ANSWER, ".", "meaningless"),
        (ANSWER, TEXT.text, ECHOED),
        (REWRITE, "Explain how the tide rises, and name two causes.", None),
        (REWRITE, TEXT.text, None),
        (REWRITE, SORRY, DECLINED),
        (VERDICT, "Not Equal", None),
        (VERDICT, SORRY, UNREADABLE),
        (CHOICE, "deepening", None),
        (CHOICE, SORRY, UNREADABLE),
        (CONTINUATION, ".", None),
        (CONTINUATION, SORRY, DECLINED),
    ],
)
def test_a_reply_that_declines_or_says_nothing_is_none_and_what_a_text_may_end_with_is_one(
    asked: Request, reply: str, why: str | None
) -> None:
    assert fault(asked, reply) == why


def test_a_refusal_that_was_asked_for_is_a_reply() -> None:
    assert (
        fault(respond_query(Instruction("Write a short apology for missing a party.")), "I'm sorry I can't come.")
        is None
    )
