"""How many tokens a reply may take."""

from __future__ import annotations

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Role
from teams_dagster.instructions.requests import reply_limit, respond_query, review_query, rewrite_query

SHORT = Instruction("Name three colours.", "of " * 100)


@pytest.mark.parametrize(
    ("operation", "limit"),
    [
        (Operation.ADD_CONSTRAINTS, 256 + 19),  # the input is kept as it is
        (Operation.BREADTH, 768 + 19 + 300),
        (Operation.COMPLICATE_INPUT, 768 + 19 + 300),
    ],
)
def test_a_rewrite_may_take_what_its_text_and_operation_can_need(operation: Operation, limit: int) -> None:
    assert reply_limit(rewrite_query(Role.EXPERT, operation, SHORT)) == limit


def test_a_rewrite_of_a_long_text_may_take_no_more_than_before() -> None:
    long = Instruction("word " * 2_000)
    assert reply_limit(rewrite_query(Role.EXPERT, Operation.DEEPENING, long)) == 2048


def test_answers_and_verdicts_may_take_what_they_state() -> None:
    assert reply_limit(respond_query(SHORT)) == 2048
    assert reply_limit(review_query(SHORT, SHORT)) == 16


def test_the_limit_is_no_part_of_what_is_asked_so_that_stored_answers_stay_valid() -> None:
    assert rewrite_query(Role.EXPERT, Operation.DEEPENING, SHORT).sampling.max_tokens == 2048
