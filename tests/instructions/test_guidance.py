"""The guide's question, and reading its answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import Purpose, Role
from teams_dagster.instructions.requests import guide_query, parse_operation

RIVER = Instruction("Name a river", "Europe")
ALL = tuple(Operation)


@pytest.mark.parametrize("operation", ALL)
def test_every_operation_that_may_be_named_stands_in_the_question(operation):
    system, _ = guide_query(RIVER, [], 6, may_rest=True).messages
    assert f"- {operation.value}: " in system.content


def test_resting_is_offered_only_where_it_is_allowed():
    offered, masked = (guide_query(RIVER, [], 6, may_rest=rest).messages[0].content for rest in (True, False))
    assert "- none: " in offered
    assert "none" not in masked


def test_the_question_shows_text_history_and_steps_left():
    past = [(Operation.DEEPENING, True), (Operation.BREADTH, False), (Operation.NONE, False)]
    user = guide_query(RIVER, past, 3, may_rest=True).messages[1].content
    assert RIVER.text in user
    assert RIVER.input in user
    assert "- deepening: accepted\n- breadth: refused\n- none\n" in user
    assert "Steps left: 3" in user


def test_it_is_asked_of_the_guide_and_another_replica_is_another_question():
    request = guide_query(RIVER, [], 6, may_rest=True, replica=1)
    assert (request.role, request.intent.purpose, request.replica) == (Role.GUIDE, Purpose.GUIDE, 1)


@pytest.mark.parametrize("operation", ALL)
@pytest.mark.parametrize("dress", ["{}", " {} \n", "{}.", "**{}**", "I would take {} here.", "`{}`", "Operation: {}!"])
def test_a_name_is_read_in_any_dress(operation, dress):
    name = operation.value
    for spelled in (name, name.upper(), name.replace("_", " ").title(), name.replace("_", "-")):
        assert parse_operation(dress.format(spelled), ALL) is operation


@pytest.mark.parametrize("reply", ["", "both deepening and breadth", "rewrite it", "concretizings", "deep ening"])
def test_no_name_and_several_names_are_unreadable(reply):
    assert parse_operation(reply, ALL) is None


def test_a_name_that_is_not_allowed_is_unreadable():
    assert parse_operation("none", TEXT_OPERATIONS) is None


@given(st.text())
def test_any_reply_is_read_or_unreadable(reply):
    assert parse_operation(reply, ALL) in (None, *ALL)
