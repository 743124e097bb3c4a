"""What the reviewer calls Equal, and what it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.language_models.offline.reviewer import same, verdict
from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.review import Verdict, parse_verdict
from tests.support.offline_texts import EVERY_KIND, instructions


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Write a poem about rain.", "Please write a poem about rain!"),
        ("Write a poem about rain.", "Could you please compose a poem about the rain? Thank you."),
        ("List three fruits.", "Name three fruits."),
        ("In two sentences, explain rain.", "Explain rain in two sentences."),
        ("Did we recieve the parcel?", "Did we receive the parcel?"),
        ("Summarize the note.", "Summarise the notes."),
        ("Why is the sky blue?", "Tell me why the sky is blue."),
        ("I would like you to write a story.", "Write a story"),
    ],
)
def test_rewordings_and_typos_are_equal(one: str, other: str) -> None:
    assert same(Instruction(one), Instruction(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Write a poem about rain.", "Write a short poem about rain."),
        ("Write a poem about rain.", "Write a poem about rain. Use no rhymes."),
        ("Describe an animal.", "Describe a snow leopard."),
        ("List three fruits.", "List four fruits."),
        ("Translate from French to English.", "Translate from English to French."),
        ("Explain rain.", "Explain rain and its causes."),
        ("Include dialogue.", "Do not include dialogue."),
        ("Explain the house.", "Explain the horse."),
        ("What is 3 + 4?", "What is 3 - 4?"),
        ("Write a poem.", "Write a story."),
        ("Explain how it works.", "Explain why it works."),
    ],
)
def test_another_requirement_thing_or_direction_is_not_equal(one: str, other: str) -> None:
    assert not same(Instruction(one), Instruction(other))


def test_the_input_counts_and_its_layout_does_not() -> None:
    one = Instruction("Sum it up.", "red\nblue")
    assert same(one, Instruction("Sum it up.", " red  blue "))
    assert not same(one, Instruction("Sum it up.", "red\ngreen"))
    assert not same(one, Instruction("Sum it up."))


@given(instructions)
def test_a_text_is_equal_to_itself(one: Instruction) -> None:
    assert same(one, Instruction(one.text, one.input))


@given(instructions, instructions)
def test_the_verdict_does_not_depend_on_which_comes_first(one: Instruction, other: Instruction) -> None:
    assert same(one, other) == same(other, one)


@given(st.sampled_from(EVERY_KIND), st.sampled_from(EVERY_KIND))
def test_different_tasks_are_not_equal(one: Instruction, other: Instruction) -> None:
    assert same(one, other) == (one == other)


def test_verdicts_are_those_that_the_method_reads() -> None:
    poem, story = Instruction("Write a poem."), Instruction("Write a story.")
    assert parse_verdict(verdict(poem, poem)) is Verdict.EQUAL
    assert parse_verdict(verdict(poem, story)) is Verdict.NOT_EQUAL
