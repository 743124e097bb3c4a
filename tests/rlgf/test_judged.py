"""Answers are rewarded by a judge that compares them with what the model answered before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.rlgf.judged import JudgedPairs, JudgedReward, start_answers
from teams_dagster.student.answering import respond
from teams_dagster.student.loading import load_student

START = {"one": "red", "two": "blue"}


def test_every_answer_is_judged_beside_the_one_from_before() -> None:
    asked: list[tuple[str, str, str]] = []

    def judge(answers: Sequence[tuple[str, str, str]]) -> list[float]:
        asked.extend(answers)
        return [1.0, 0.25]

    assert JudgedReward(START, judge)(["two", "one"], [" green\n", "black"]) == [1.0, 0.25]
    assert asked == [("two", "green", "blue"), ("one", "black", "red")]


def test_the_same_answer_earns_a_half_unasked() -> None:
    reward = JudgedReward(START, lambda answers: [1.0 for _ in answers])
    assert reward(["one", "two"], ["red ", "white"]) == [0.5, 1.0]
    assert JudgedReward(START, lambda _: pytest.fail("asked"))(["one"], ["red"]) == [0.5]


def test_two_answers_of_a_prompt_are_judged_beside_each_other() -> None:
    asked: list[tuple[str, str, str]] = []

    def judge(answers: Sequence[tuple[str, str, str]]) -> list[float]:
        asked.extend(answers)
        return [0.75]

    pairs = JudgedPairs(judge)(["two", "two", "one", "one"], ["green", " pink", "red", "red\n"])
    assert pairs == [0.75, 0.25, 0.5, 0.5]
    assert asked == [("two", "green", "pink")], "the same answer twice needs no judge"


def test_answers_from_before_are_greedy_and_made_once(base: Path, tmp_path: Path) -> None:
    student, file = load_student(base, place="cpu"), tmp_path / "answers.json"
    made = start_answers(student, ["Which box?", "Why?"], file, max_new_tokens=4, progress=lambda _: None)
    assert made == {q: respond(student, Instruction(q), max_new_tokens=4) for q in ("Which box?", "Why?")}
    file.write_text('{"Which box?": "kept"}')
    again = start_answers(student, ["Which box?"], file, max_new_tokens=4, progress=lambda _: pytest.fail("made again"))
    assert again == {"Which box?": "kept"}
