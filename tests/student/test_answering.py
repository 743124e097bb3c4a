"""A student answers several instructions at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.student import answering
from teams_dagster.student.answering import StudentAnswer, answer_examples, draw_examples, respond, with_room
from teams_dagster.student.lengths import lengths_for
from teams_dagster.student.loading import Student


def answered(student: Student, examples: list[Example], **options: Any) -> list[StudentAnswer]:
    batches = answer_examples(student, examples, max_new_tokens=12, **options)
    return [answer for batch in batches for answer in batch]


def test_an_answer_in_a_batch_is_the_one_alone(student: Student, examples: list[Example]) -> None:
    found = {answer.sample_id: answer.response for answer in answered(student, examples)}
    assert found == {e.sample_id: respond(student, e.instruction, max_new_tokens=12) for e in examples}


def test_an_answer_says_whether_it_was_cut_off(student: Student, examples: list[Example]) -> None:
    for answer in answered(student, examples):
        assert answer.tokens == 12 or answer.finished
        assert answer.tokens <= 12


def test_what_the_likeliest_token_ends_is_finished(
    student: Student, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    end = student.tokenizer.eos_token_id
    monkeypatch.setattr(answering, "generate", lambda _, prompts, **__: [[5, end] for _ in prompts])
    assert all((a.finished, a.tokens) == (True, 2) for a in answered(student, examples))


def test_batches_hold_what_they_may_and_skip_what_is_known(
    student: Student, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(answering.TOKENS_AT_ONCE, "cpu", 200)
    whole = list(answer_examples(student, examples, max_new_tokens=12))
    assert len(whole) > 1
    first = [answer.sample_id for answer in whole[0]]
    rest = list(answer_examples(student, examples, max_new_tokens=12, known=[*first, whole[-1][0].sample_id]))
    assert rest == [batch for batch in whole[1:] if len(batch) > 1 or batch[0].sample_id != whole[-1][0].sample_id]


def test_progress_is_told_to_the_last(student: Student, examples: list[Example]) -> None:
    said: list[str] = []
    answered(student, examples, progress=said.append)
    assert said[-1] == f"answered {len(examples)} of {len(examples)} instructions"


def test_a_prompt_without_room_for_an_answer_is_left_out_by_name(base: Path, examples: list[Example]) -> None:
    long = replace(examples[0], sample_id="long", instruction=Instruction("word " * 200))
    assert with_room(lengths_for(base, []), [*examples, long], 150) == (examples, ("long",))


samples = st.lists(st.sampled_from("abcde"), min_size=1, max_size=20).map(
    lambda seeds: [Example(f"{i}", seed, Instruction(f"{i}?"), "") for i, seed in enumerate(seeds)]
)


@given(samples, st.integers(1, 25), st.integers(0, 3))
def test_seeds_take_turns_and_no_sample_is_drawn_twice(found: list[Example], count: int, seed: int) -> None:
    drawn = draw_examples(found, count, seed=seed)
    assert len({e.sample_id for e in drawn}) == len(drawn) == min(count, len(found))
    taken, there = Counter(e.seed_id for e in drawn), Counter(e.seed_id for e in found)
    assert all(taken[name] >= min(there[name], max(taken.values()) - 1) for name in there)


@given(samples, st.integers(1, 25), st.randoms())
def test_a_draw_depends_on_no_order(found: list[Example], count: int, random: Random) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert draw_examples(shuffled, count, seed=1) == draw_examples(found, count, seed=1)
