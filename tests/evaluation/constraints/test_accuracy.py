"""Accuracy by prompt and by constraint, strict and loose."""

from __future__ import annotations

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.quality.constraints.constraint import Constraint, Kind
from teams_dagster.evaluation.constraints.accuracy import accuracies
from teams_dagster.evaluation.constraints.prompts import ConstrainedPrompt

LOW, SHORT = Constraint(Kind.LOWERCASE, ""), Constraint(Kind.WORDS, "", 0, 3)

PROMPTS = [
    ConstrainedPrompt("one", "first task", Instruction("one"), ("lowercase",), (LOW,)),
    ConstrainedPrompt("two", "second task", Instruction("two"), ("lowercase", "words_at_most"), (LOW, SHORT)),
]


def test_a_prompt_counts_where_all_of_its_constraints_are_kept_and_a_constraint_by_itself():
    found = accuracies(PROMPTS, {"one": "it rains.", "two": "It rains."})
    assert (found["prompt_strict"].value, found["constraint_strict"].value) == (0.5, pytest.approx(2 / 3))


def test_what_is_forgiven_counts_loosely_alone():
    found = accuracies(PROMPTS, {"one": "Sure:\nit rains.", "two": "it rains."})
    assert (found["prompt_strict"].value, found["prompt_loose"].value) == (0.5, 1.0)


def test_its_error_is_clustered_by_task():
    alike = [ConstrainedPrompt(name, "one task", Instruction(name), ("lowercase",), (LOW,)) for name in "ab"]
    found = accuracies([*alike, PROMPTS[1]], {"a": "low", "b": "low", "two": "High"})
    assert found["prompt_strict"].clusters == 2
