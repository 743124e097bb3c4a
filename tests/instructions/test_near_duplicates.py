from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.near_duplicates import (
    cluster_index,
    duplicate_index,
    near_duplicate,
    same_cluster,
    same_text_key,
)

PASSAGE = " ".join(f"fact{k} follows claim{k}" for k in range(60))


def sentence(*numbers: int) -> str:
    return " ".join(f"word{number}" for number in numbers)


word_numbers = st.lists(st.integers(0, 500), min_size=1, max_size=150)


@given(word_numbers, st.lists(st.integers(501, 900), min_size=8, max_size=20), st.data())
def test_an_honest_child_is_no_near_duplicate_of_its_parent_however_long(parent, added, data) -> None:
    at = data.draw(st.integers(0, len(parent)))
    child = parent[:at] + added + parent[at:]
    assert not near_duplicate(Instruction(sentence(*parent), PASSAGE), Instruction(sentence(*child), PASSAGE))


@given(word_numbers, word_numbers, st.booleans())
def test_near_duplicates_are_symmetric_and_always_clustered(one, other, related) -> None:
    a = Instruction(sentence(*one))
    b = Instruction(sentence(*one, other[0]) if related else sentence(*other))
    assert near_duplicate(a, b) == near_duplicate(b, a)
    assert same_cluster(a, b) or not near_duplicate(a, b)


def test_one_word_more_in_a_long_text_is_a_near_duplicate() -> None:
    a, b = Instruction(sentence(*range(30))), Instruction(sentence(*range(31)))
    assert near_duplicate(a, b)


def test_two_tasks_on_one_long_input_are_not_near_duplicates() -> None:
    assert not near_duplicate(Instruction("Summarise the text.", PASSAGE), Instruction("Translate the text.", PASSAGE))


def test_one_task_on_two_inputs_is_not_a_near_duplicate() -> None:
    assert not near_duplicate(Instruction("Is this number prime?", "51"), Instruction("Is this number prime?", "53"))


def test_seeds_on_one_long_input_are_clustered() -> None:
    assert same_cluster(Instruction("Summarise the text.", PASSAGE), Instruction("Translate the text.", PASSAGE))


def test_case_and_white_space_do_not_make_another_text() -> None:
    assert same_text_key(Instruction(" A  b\n", "C")) == same_text_key(Instruction("a B", " c "))
    assert same_text_key(Instruction("a b", "c")) != same_text_key(Instruction("a", "b c"))


GROUPED = {
    "1000": "1,000",
    "2500000": "2,500,000",
    "100000": "1,00,000",
    "41000": "41’000",
    "63500": "63\u202f500",
    "1234": "١٬٢٣٤",
    "7000": "７，０００",
}


@pytest.mark.parametrize(("plain", "grouped"), GROUPED.items())
def test_a_number_is_the_same_in_groups_of_digits(plain: str, grouped: str) -> None:
    asked = "How many of {} trees does the town lose in ten years?"
    assert near_duplicate(Instruction(asked.format(plain)), Instruction(asked.format(grouped)))


@pytest.mark.parametrize(
    ("one", "other"),
    [("3.142", "3142"), ("0,125", "0125"), ("1,2,3", "123"), ("10,20", "1020"), ("1 000", "1000")],
)
def test_digits_that_need_not_be_one_number_are_not_joined(one: str, other: str) -> None:
    asked = "How many of {} trees does the town lose in ten years?"
    assert not near_duplicate(Instruction(asked.format(one)), Instruction(asked.format(other)))


@pytest.mark.parametrize(
    ("plain", "adorned"),
    [
        ("اكتب قصيدة قصيرة عن البحر", "اُكْتُبْ قَصِيدَةً قَصِيرَةً عَنِ الْبَحْرِ"),
        ("Wave 👋 at 250 people", "Wave 👋🏽 at ٢٥٠ people"),
    ],
    ids=["harakat", "digits and skin"],
)
def test_what_only_adorns_a_text_makes_no_other_one(plain: str, adorned: str) -> None:
    assert near_duplicate(Instruction(plain), Instruction(adorned))


def test_the_indexes_find_what_the_exact_measures_call_near() -> None:
    texts = [Instruction(sentence(*range(k, k + 40))) for k in range(0, 100, 2)]
    for index, near in ((duplicate_index(), near_duplicate), (cluster_index(), same_cluster)):
        for key, text in enumerate(texts):
            assert index.matches(text) == [str(other) for other in range(key) if near(texts[other], text)]
            index.add(str(key), text)


def test_texts_without_a_word_are_near_to_each_other_only() -> None:
    index = duplicate_index()
    index.add("dots", Instruction("..."))
    assert index.matches(Instruction("???")) == ["dots"]
    assert index.matches(Instruction("word")) == []
