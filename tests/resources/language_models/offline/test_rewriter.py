"""What each operation does to a text, and where it ends."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.language_models.offline.concretizing import find_general_terms
from resources.language_models.offline.kinds import read
from resources.language_models.offline.lexicon import lexicon
from resources.language_models.offline.model import rewrite
from resources.language_models.offline.reviewer import same
from resources.language_models.offline.rewording import reword
from resources.language_models.offline.structuring import is_structured
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation, Returns
from teams_dagster.instructions.elimination import Rule, eliminate_rewrite
from teams_dagster.instructions.requests import parse_rewrite
from tests.support.offline_texts import (
    ARITHMETIC,
    CLASSIFICATION,
    CODE,
    EVERY_KIND,
    EXPLANATION,
    EXTRACTION,
    FACT,
    LISTING,
    PLAN,
    TRANSFORM,
    UNKNOWN,
    WRITING,
    instructions,
    texts,
)
from tests.support.properties import example_count

IN_DEPTH = [operation for operation in TEXT_OPERATIONS if operation.returns is Returns.INSTRUCTION]


def apply(operation: Operation, before: Instruction, replica: int = 0) -> Instruction:
    return parse_rewrite(operation, before, rewrite(operation, before, replica))


def times_it_pays(operation: Operation, before: Instruction, attempts: int = 10) -> int:
    """How often an operation changes what is asked when it is applied again and again."""
    paid = 0
    for _ in range(attempts):
        after = apply(operation, before)
        if same(before, after):
            break
        before, paid = after, paid + 1
    return paid


@pytest.mark.parametrize(
    ("operation", "paying"),
    [
        (Operation.ADD_CONSTRAINTS, [WRITING, EXPLANATION, CODE, EXTRACTION, TRANSFORM, LISTING, PLAN, FACT]),
        (Operation.DEEPENING, [EXPLANATION, LISTING, PLAN, FACT]),
        (Operation.INCREASE_REASONING_STEPS, [EXPLANATION, ARITHMETIC, CLASSIFICATION, CODE, EXTRACTION]),
        (Operation.COMPLICATE_INPUT, [ARITHMETIC, CLASSIFICATION, EXTRACTION, TRANSFORM, LISTING, PLAN]),
        (
            Operation.BREADTH,
            [WRITING, EXPLANATION, ARITHMETIC, CLASSIFICATION, CODE, EXTRACTION, TRANSFORM, LISTING, PLAN],
        ),
        (Operation.CONCRETIZING, [WRITING, EXPLANATION, LISTING, PLAN]),
    ],
    ids=lambda value: value.value if isinstance(value, Operation) else "",
)
def test_an_operation_pays_for_the_kinds_of_task_it_is_meant_for(
    operation: Operation, paying: list[Instruction]
) -> None:
    every = (WRITING, EXPLANATION, ARITHMETIC, CLASSIFICATION, CODE, EXTRACTION, TRANSFORM, LISTING, PLAN)
    pays = [one for one in every if times_it_pays(operation, one)]
    assert pays == [one for one in every if one in paying]


@pytest.mark.parametrize("operation", TEXT_OPERATIONS, ids=lambda operation: operation.value)
@pytest.mark.parametrize("seed", EVERY_KIND, ids=lambda seed: seed.text[:20])
def test_every_operation_comes_to_an_end(operation: Operation, seed: Instruction) -> None:
    assert times_it_pays(operation, seed) <= 5


def test_a_text_that_holds_enough_constraints_is_given_no_more() -> None:
    full = Instruction(
        "Write a short story for children in a warm tone. Mention a bell, avoid dialogue, and format it as bullets."
    )
    assert times_it_pays(Operation.ADD_CONSTRAINTS, full) == 0


def test_reasoning_steps_are_not_asked_for_twice() -> None:
    asked = Instruction(
        "Calculate 12 x 7 step by step, verify the result, and state the formula and your assumptions first."
    )
    assert times_it_pays(Operation.INCREASE_REASONING_STEPS, asked) == 0


def test_depth_is_added_to_an_inquiry_and_not_to_a_calculation() -> None:
    assert times_it_pays(Operation.DEEPENING, EXPLANATION) > 1
    assert times_it_pays(Operation.DEEPENING, ARITHMETIC) == 0


def test_concretizing_replaces_a_general_term_and_its_article() -> None:
    after = apply(Operation.CONCRETIZING, Instruction("Describe an animal that sleeps by day."))
    assert " animal " not in after.text
    assert after.text.startswith("Describe a ")
    assert after.text.endswith(" that sleeps by day.")


@pytest.mark.parametrize(
    "text",
    [
        "Revise the company policy.",
        "Rewrite this book title.",
        'Translate "my friend" into French.',
        "Describe the city's budget.",
        "Explain insurance company law.",
    ],
)
def test_general_terms_inside_compounds_and_quotations_stay(text: str) -> None:
    assert find_general_terms(text) == []


def test_what_the_rules_add_holds_no_general_term_again() -> None:
    added = [text for clauses in lexicon().clauses.values() for clause in clauses for text in clause.texts]
    cases = [case for domain in lexicon().domains.values() for case in domain.cases]
    assert [text for text in (*added, *lexicon().specific, *cases) if find_general_terms(f"of {text}")] == []


def test_each_clause_is_found_again_by_its_own_marker() -> None:
    lost = [
        text
        for clauses in lexicon().clauses.values()
        for clause in clauses
        for text in clause.texts
        if not clause.marker.search(text.lower())
    ]
    assert lost == []


def test_clauses_are_about_ten_to_twenty_words() -> None:
    lengths = [len(t.split()) for clauses in lexicon().clauses.values() for clause in clauses for t in clause.texts]
    assert min(lengths) >= 10
    assert max(lengths) <= 22


def test_material_becomes_json_that_holds_every_word_of_it() -> None:
    after = apply(Operation.COMPLICATE_INPUT, CLASSIFICATION)
    assert CLASSIFICATION.input in json.dumps(json.loads(after.input), ensure_ascii=False)
    assert after.text.startswith(CLASSIFICATION.text)


def test_facts_become_one_json_object() -> None:
    before = Instruction("Write an invitation from the facts.", "Place: harbour\nTime: 7 pm")
    assert json.loads(apply(Operation.COMPLICATE_INPUT, before).input) == {"Place": "harbour", "Time": "7 pm"}


def test_a_calculation_becomes_a_table_of_cases_that_begins_with_its_own_figures() -> None:
    after = apply(Operation.COMPLICATE_INPUT, Instruction("A van needs 8 litres per 100 km. How much for 250 km?"))
    rows = after.input.splitlines()
    assert rows[2] == "| 1 | 8 | 100 | 250 |"
    assert len(rows) == 5


@pytest.mark.parametrize(
    "material", ['{"a": 1}', "| a | b |\n|---|---|\n| 1 | 2 |", "a,b,c\n1,2,3", "def f():\n    pass"]
)
def test_structured_material_is_left_as_it_is(material: str) -> None:
    before = Instruction("Extract the names.", material)
    after = apply(Operation.COMPLICATE_INPUT, before)
    assert is_structured(material)
    assert after.input == material
    assert same(before, after)


def test_a_question_without_material_is_given_none() -> None:
    assert apply(Operation.COMPLICATE_INPUT, EXPLANATION).input == ""


def test_breadth_keeps_the_kind_of_task_and_the_form_of_writing() -> None:
    for seed in EVERY_KIND[:10]:
        after = apply(Operation.BREADTH, seed)
        if not same(seed, after):
            assert read(after.text, after.input).kind is read(seed.text, seed.input).kind
    assert "a poem" in apply(Operation.BREADTH, WRITING).text


def test_breadth_has_no_second_sibling_after_the_rarer_one() -> None:
    assert times_it_pays(Operation.BREADTH, EXPLANATION) == 1


def test_breadth_needs_a_domain_that_it_knows() -> None:
    assert times_it_pays(Operation.BREADTH, UNKNOWN) == 0


def test_breadth_makes_different_texts_of_different_texts_and_replicas() -> None:
    made = {
        apply(Operation.BREADTH, seed, replica).text for seed in (LISTING, EXPLANATION, PLAN) for replica in range(8)
    }
    assert len(made) >= 18


def test_a_sibling_of_a_demanding_text_is_demanding_too_and_so_has_less_left() -> None:
    demanding = Instruction(
        "Write a short poem for children about a dog. Keep a warm tone, avoid rhyme and mention the rain."
    )
    fresh = times_it_pays(Operation.ADD_CONSTRAINTS, apply(Operation.BREADTH, WRITING))
    assert times_it_pays(Operation.ADD_CONSTRAINTS, apply(Operation.BREADTH, demanding)) < fresh


def test_every_sibling_frame_can_be_filled_with_every_topic() -> None:
    for shapes in lexicon().frames.values():
        for frames in shapes.values():
            for frame in frames:
                filled = frame.format(t="glass frogs", u="eels", form="a poem", n="five")
                assert "{" not in filled


@given(instructions, st.sampled_from(IN_DEPTH), st.integers(0, 3))
def test_in_depth_operations_keep_the_input(before: Instruction, operation: Operation, replica: int) -> None:
    reply = rewrite(operation, before, replica)
    assert parse_rewrite(operation, before, reply).input == before.input
    assert "Input:" not in reply or "Input:" in before.text


@given(instructions, st.sampled_from(TEXT_OPERATIONS), st.integers(0, 3))
def test_replies_can_be_read_and_leak_no_words_of_a_prompt(
    before: Instruction, operation: Operation, replica: int
) -> None:
    after = apply(operation, before, replica)
    assert eliminate_rewrite(after, [before]) in (None, Rule.RETURNED, Rule.MEANINGLESS)


@given(instructions, st.sampled_from(TEXT_OPERATIONS), st.integers(0, 3))
def test_the_same_question_gets_the_same_reply(before: Instruction, operation: Operation, replica: int) -> None:
    assert rewrite(operation, before, replica) == rewrite(operation, before, replica)


@settings(max_examples=example_count(120))
@given(st.one_of(st.sampled_from([one.text for one in EVERY_KIND]), texts), st.integers(0, 5))
def test_a_rewording_is_equal_and_yet_another_text(text: str, replica: int) -> None:
    reworded = reword(text, replica)
    assert reworded != text
    assert same(Instruction(text), Instruction(reworded))


def test_in_depth_operations_keep_the_parts_that_are_not_text() -> None:
    table = next(one for one in EVERY_KIND if "|---|" in one.text)
    for operation in IN_DEPTH:
        assert "| a | b |\n|---|---|\n| 1 | 2 |" in apply(operation, table).text


def test_a_clause_stands_before_a_slot_for_the_answer() -> None:
    seed = Instruction("Question: why did the bridge open late?\nAnswer:")
    after = apply(Operation.INCREASE_REASONING_STEPS, seed)
    assert after.text.endswith("\nAnswer:")
    assert not same(seed, after)


def test_an_operation_that_asks_nothing_has_no_rule() -> None:
    with pytest.raises(ValueError, match="asks nothing"):
        rewrite(Operation.NONE, WRITING, 0)
