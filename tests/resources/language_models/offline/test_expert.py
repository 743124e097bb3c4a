"""Answers by rule: what they compute, read, honour and refuse."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.language_models.offline.expert import MAX_WORDS, MIN_WORDS, respond
from resources.language_models.offline.lexicon import lexicon, read_data
from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.elimination import Rule, eliminate_answer
from tests.support.offline_texts import EVERY_KIND, instructions


def test_a_calculation_is_answered_with_its_result() -> None:
    assert "is 12." in respond(Instruction("What is 15% of 80 euros?"), 0)


def test_a_calculation_that_no_rule_covers_leaves_the_result_open() -> None:
    answer = respond(Instruction("A bakery sells 6 rolls for 4 euros. How much do 27 rolls cost?"), 0)
    assert "6, 4, 27" in answer
    assert "stays open" in answer


@pytest.mark.parametrize(
    ("text", "material", "label"),
    [
        ("Classify the review as positive or negative.", "A wonderful, happy evening.", "positive"),
        ("Classify the review as positive or negative.", "The soup was cold and the waiter rude.", "negative"),
        ("Label the mood as happy, neutral or angry.", "Nobody called back, it is still broken.", "angry"),
        ("Is this e-mail spam? Answer yes or no.", "Minutes of the choir.", "no"),
    ],
)
def test_a_classification_names_one_of_the_labels(text: str, material: str, label: str) -> None:
    assert respond(Instruction(text, material), 0).startswith(f"Answer: {label}.")


def test_labels_without_evidence_are_called_weak() -> None:
    assert "weak" in respond(Instruction("Decide whether the tale is true or false.", "Zorble frinkle."), 0)


@pytest.mark.parametrize(
    "material", ['[{"name": "fern"}, {"name": "aloe"}]', "name,light,water\nfern,low,1\naloe,high,2", "fern and Aloe"]
)
def test_extraction_reports_what_stands_in_the_material(material: str) -> None:
    assert "aloe" in respond(Instruction("Extract the name of each plant.", material), 0).lower()


def test_a_list_has_as_many_items_as_asked_for() -> None:
    assert respond(Instruction("List five uses of old wool."), 0).count("\n- ") == 5


def test_sorting_sorts() -> None:
    assert "-4, 2, 5, 10, 92" in respond(Instruction("Sort the given list ascendingly.", "List [10, 2, 5, -4, 92]"), 0)


def test_sorting_keeps_the_sign_of_numbers_on_lines_of_their_own() -> None:
    assert "-4, 2, 10" in respond(Instruction("Sort the numbers.", "10\n-4\n2"), 0)


def test_bullets_are_given_where_they_are_asked_for() -> None:
    answer = respond(Instruction("Explain why tides change. Give the result as bullet points."), 0)
    assert all(line.startswith("- ") for line in answer.splitlines())


def test_word_limits_are_kept() -> None:
    assert len(respond(Instruction("Explain why tides change in no more than 25 words."), 0).split()) <= 25


def test_an_aspect_that_is_asked_for_is_spoken_of() -> None:
    assert "exception" in respond(Instruction("Explain why tides change, and discuss the exceptions."), 0)


def test_the_topic_is_in_the_words_of_the_instruction() -> None:
    assert "volcanic soil" in respond(Instruction("Explain how volcanic soil feeds vineyards."), 0)


@pytest.mark.parametrize(
    "one",
    [
        Instruction("Write code to fetch the current price of copper."),
        Instruction("Correct the grammar of the following paragraph."),
        Instruction("Translate the sign into Finnish.", "Bitte nicht rauchen"),
    ],
)
def test_what_it_cannot_know_it_refuses(one: Instruction) -> None:
    assert eliminate_answer(respond(one, 0)) is Rule.SHORT_APOLOGY


def test_most_answers_are_neither_refused_nor_eliminated() -> None:
    assert [eliminate_answer(respond(one, 0)) for one in EVERY_KIND] == [None] * len(EVERY_KIND)


@pytest.mark.parametrize("one", EVERY_KIND, ids=lambda one: one.text[:20])
def test_answers_are_twenty_to_ninety_words(one: Instruction) -> None:
    assert MIN_WORDS <= len(respond(one, 0).split()) <= MAX_WORDS


@given(instructions, st.integers(0, 3))
def test_any_instruction_gets_the_same_answer_again(one: Instruction, replica: int) -> None:
    answer = respond(one, replica)
    assert answer.strip()
    assert answer == respond(one, replica)


def test_words_that_are_not_copied_come_from_the_sentences_of_the_product() -> None:
    known = set(re.findall(r"[a-z]+", str(read_data("answers.toml")).lower()))
    for text in ("Explain how volcanic soil feeds vineyards.", "Write a poem about rain.", "List six uses of wool."):
        answer = set(re.findall(r"[a-z]+", respond(Instruction(text), 0).lower()))
        own = set(re.findall(r"[a-z]+", text.lower()))
        assert answer - own - known <= set(lexicon().domains)
