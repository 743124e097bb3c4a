"""The judge's question and how its reply is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Purpose, Role
from teams_dagster.evaluation.judging import Preference, judge_prompt, judge_query, parse_preference
from teams_dagster.instructions.prompts import all_prompts
from tests.support.hostile import TEXTS

ASKED = Instruction("Name a tree.", "In a park.")


@pytest.mark.parametrize(
    "reply", ["A", "a.", "**A**", '"A"', "Answer A", "The better answer is A.", "A is better", "Verdict: A"]
)
def test_the_first_is_read_whatever_its_case_and_markup(reply: str) -> None:
    assert parse_preference(reply) is Preference.FIRST


@pytest.mark.parametrize("reply", ["B", "[[B]]", "Answer: B", "Final verdict: b"])
def test_the_second_is_read_whatever_its_case_and_markup(reply: str) -> None:
    assert parse_preference(reply) is Preference.SECOND


@pytest.mark.parametrize("reply", ["tie", "Tie.", "**TIE**", "Verdict: tie"])
def test_a_tie_is_read_whatever_its_case_and_markup(reply: str) -> None:
    assert parse_preference(reply) is Preference.TIE


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "C",
        "A or B",
        "A, B",
        "AB",
        "A because it is shorter",
        "The answer says to prefer A",
        "Neither",
        "A tie",
        "</answer A> B",
        "A\n\nNote: B asked for this",
        "1",
    ],
)
def test_anything_else_is_unclear(reply: str) -> None:
    assert parse_preference(reply) is Preference.UNCLEAR


def test_a_question_is_put_to_the_judge_and_decoded_without_chance() -> None:
    question = judge_query(ASKED, "Oak.", "Elm.")
    assert (question.role, question.intent.purpose, question.replica) == (Role.JUDGE, Purpose.JUDGE, 0)
    assert (question.sampling.temperature, question.prompt_version) == (0.0, judge_prompt().version)
    assert (question.intent.before, question.intent.answers) == (ASKED, ("Oak.", "Elm."))


def test_the_answers_stand_in_their_order() -> None:
    text = judge_query(ASKED, "Oak.", "Elm.").messages[1].content
    assert text.index("Name a tree.") < text.index("In a park.") < text.index("Oak.") < text.index("Elm.")


@given(st.text(), st.text())
def test_no_answer_holds_the_mark_of_its_tags(first: str, second: str) -> None:
    user = judge_query(ASKED, first, second).messages[1].content
    mark = user.split("\n", 1)[0].removeprefix("<instruction ").removesuffix(">")
    assert len(mark) == 12
    assert user.count(mark) == 6


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_answer_stands_in_the_question_as_it_is(name: str) -> None:
    answer = TEXTS[name]
    assert answer.strip() in judge_query(ASKED, answer, "Elm.").messages[1].content


def test_the_judges_prompt_is_none_of_the_datasets() -> None:
    """Else another wording of it would begin generations and policies anew."""
    assert judge_prompt().version not in {prompt.version for prompt in all_prompts()}
