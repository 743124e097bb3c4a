from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.choice import choice_accuracy, credit, draw_questions, shortest_answer
from tests.support.properties import example_count


def example(number: int, seed: int, response: str | None = None) -> Example:
    return Example(f"s{number}", f"seed-{seed}", Instruction(f"Task {number}"), response or f"answer {number}")


@settings(max_examples=example_count(50))
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 50), st.integers(0, 30)), min_size=8, max_size=40))
def test_distractors_come_from_three_other_seeds_and_are_other_responses(rows: list[tuple[int, int, int]]) -> None:
    examples = [example(i, seed, f"answer {answer}") for i, (seed, _, answer) in enumerate(rows)]
    owners = {e.response: {o.seed_id for o in examples if o.response == e.response} for e in examples}
    try:
        questions = draw_questions(examples, [length for _, length, _ in rows], seed=1)
    except ValueError:
        return  # too few other seeds, said by name
    for question in questions:
        assert question.choices[0] == question.example.response
        assert len(set(question.choices)) == 4
        for distractor in question.choices[1:]:
            assert owners[distractor] - {question.example.seed_id}


def test_siblings_are_never_distractors() -> None:
    examples = [example(i, i // 3) for i in range(30)]
    seed_of = {e.response: e.seed_id for e in examples}
    for question in draw_questions(examples, [10] * 30, seed=0):
        others = [seed_of[response] for response in question.choices[1:]]
        assert question.example.seed_id not in others
        assert len(set(others)) == 3


def test_distractors_are_among_the_nearest_in_length() -> None:
    examples = [example(i, i) for i in range(40)]
    for question in draw_questions(examples, list(range(1, 41)), seed=0):
        nearest = sorted(abs(other - question.lengths[0]) for other in range(1, 41) if other != question.lengths[0])
        assert max(abs(length - question.lengths[0]) for length in question.lengths[1:]) <= nearest[7]


def test_the_draw_belongs_to_seed_and_sample_not_to_the_order() -> None:
    examples = [example(i, i) for i in range(20)]
    drawn = {q.example.sample_id: q for q in draw_questions(examples, [5] * 20, seed=3)}
    shuffled = random.Random(0).sample(examples, 20)
    assert drawn == {q.example.sample_id: q for q in draw_questions(shuffled, [5] * 20, seed=3)}
    assert drawn != {q.example.sample_id: q for q in draw_questions(examples, [5] * 20, seed=4)}


def test_a_distractor_that_would_not_fit_is_not_drawn() -> None:
    examples = [example(i, i) for i in range(10)]
    lengths = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    questions = draw_questions(examples, lengths, seed=0, limits=[9] * 10)
    assert max(max(q.lengths[1:]) for q in questions) <= 9


def test_an_example_without_three_that_fit_asks_nothing_and_the_others_do() -> None:
    examples, limits = [example(i, i) for i in range(10)], [9] * 9 + [4]
    questions = draw_questions(examples, list(range(5, 15)), seed=0, limits=limits)
    assert [q.example.sample_id for q in questions] == [e.sample_id for e in examples[:5]]


def test_fewer_than_three_other_seeds_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="hold out a larger share"):
        draw_questions([example(i, i % 3) for i in range(9)], [1] * 9, seed=0)


def test_ties_share_the_credit() -> None:
    assert credit([2, 1, 0, 0]) == 1
    assert credit([2, 2, 0, 0]) == 0.5
    assert credit([1, 2, 0, 0]) == 0
    assert credit([1, 1, 1, 1]) == 0.25


def test_accuracy_is_clustered_by_seed() -> None:
    questions = draw_questions([example(i, i // 2) for i in range(10)], [4] * 10, seed=0)
    accuracy = choice_accuracy([1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0], questions)
    assert accuracy.value == 0.6
    assert accuracy.clusters == 5


def test_the_shortest_answer_baseline_sees_only_length() -> None:
    questions = draw_questions([example(i, i) for i in range(12)], list(range(1, 13)), seed=0)
    for question, got in zip(questions, shortest_answer(questions), strict=True):
        assert got == (1.0 if question.lengths[0] == min(question.lengths) else 0.0)
    even = draw_questions([example(i, i) for i in range(12)], [7] * 12, seed=0)
    assert choice_accuracy(shortest_answer(even), even).value == 0.25
