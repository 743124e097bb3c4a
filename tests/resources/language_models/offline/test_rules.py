"""The one rule of each operation."""

from __future__ import annotations

import pytest

from resources.language_models.offline import rules
from resources.language_models.offline.guide import proposal
from resources.language_models.offline.model import rewrite
from resources.language_models.offline.rules import RULES, Rule
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.instructions.requests import guide_query

RIVER = Instruction("Name a river.")


def test_every_operation_that_asks_something_has_a_rule() -> None:
    assert tuple(RULES) == TEXT_OPERATIONS


def test_an_operation_without_a_rule_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(rules.RULES, Operation.DEEPENING)
    with pytest.raises(ValueError, match="no rule for operation 'deepening'; add one"):
        rewrite(Operation.DEEPENING, RIVER, 0)


def test_an_operation_that_asks_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="'none' asks nothing"):
        rewrite(Operation.NONE, RIVER, 0)


def test_a_rule_may_give_the_text_alone_where_the_operation_returns_an_input_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(rules.RULES, Operation.BREADTH, Rule(lambda reading, replica: "Name a lake."))
    assert rewrite(Operation.BREADTH, Instruction(RIVER.text, "a map"), 0) == "Instruction: Name a lake.\nInput: a map"


def test_a_rule_that_names_no_turn_has_its_turn_before_a_new_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rules.RULES, Operation.ADD_CONSTRAINTS, Rule(lambda reading, replica: None))
    others = [o for o in TEXT_OPERATIONS if o not in (Operation.BREADTH, Operation.ADD_CONSTRAINTS)]
    for tried, proposed in ((others[:-1], others[-1].value), (others, "add_constraints")):
        past = [(operation, False) for operation in tried]
        assert proposal(guide_query(RIVER, past, 1, may_rest=False).messages) == proposed
