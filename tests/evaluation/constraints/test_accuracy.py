"""Accuracy by prompt and by constraint, strict and loose."""

from __future__ import annotations

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.quality.constraints.constraint import Constraint, Kind
from teams_dagster.evaluation.constraints.accuracy import followed, weight
from teams_dagster.evaluation.constraints.prompts import ConstrainedPrompt

LOW, SHORT = Constraint(Kind.LOWERCASE, ""), Constraint(Kind.WORDS, "", 0, 3)

BOTH = ConstrainedPrompt("two", "a task", Instruction("two"), ("lowercase", "words_at_most"), (LOW, SHORT))


def test_a_prompt_counts_where_all_of_its_constraints_are_kept_and_a_constraint_by_itself():
    found = followed(BOTH, "It rains.")
    assert (found.value("prompt_strict"), found.value("constraint_strict")) == (0.0, 0.5)
    assert followed(BOTH, "it rains.").value("prompt_strict") == 1.0


def test_what_is_forgiven_counts_loosely_alone():
    found = followed(BOTH, "Sure:\nit rains.")
    assert (found.value("prompt_strict"), found.value("prompt_loose")) == (0.0, 1.0)


def test_a_prompt_counts_as_one_or_as_many_as_it_has_constraints():
    assert (weight(BOTH, "prompt_loose"), weight(BOTH, "constraint_loose")) == (1, 2)
