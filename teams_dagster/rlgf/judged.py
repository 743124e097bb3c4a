"""The reward of answers: how far a judge prefers them to what the model answered before, or to one another."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from teams_dagster.core.files import write_atomically
from teams_dagster.core.instruction import from_user_message
from teams_dagster.dataset.sample import Example
from teams_dagster.llm.settling import storable
from teams_dagster.student.answering import answer_examples
from teams_dagster.student.loading import Student

Judge = Callable[[Sequence[tuple[str, str, str]]], Sequence[float]]
"""Of each (prompt, answer, other answer) how far the answer is preferred, 0 to 1."""
EQUAL = 0.5
"""What an answer earns that is the other one: in either order a judge says as much for it as against it."""


@dataclass(frozen=True)
class JudgedReward:
    """What `TokenTraining` needs as its reward. Many answers are judged at once."""

    start: Mapping[str, str]
    """By prompt, the answer that others are compared with."""
    judge: Judge

    def __call__(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        answers = map(_answer, texts)
        return _preferred(self.judge, [(p, answer, self.start[p]) for p, answer in zip(prompts, answers, strict=True)])


@dataclass(frozen=True)
class JudgedPairs:
    """The reward of a batch whose texts are pairs of neighbours, two of each prompt: how far one is preferred."""

    judge: Judge

    def __call__(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        answers = [_answer(text) for text in texts]
        pairs = list(zip(prompts[::2], answers[::2], answers[1::2], strict=True))
        return [worth for first in _preferred(self.judge, pairs) for worth in (first, 1 - first)]


def _answer(text: str) -> str:
    return storable(text).strip()


def _preferred(judge: Judge, pairs: Sequence[tuple[str, str, str]]) -> list[float]:
    """What `judge` says of each of `pairs`; it is not asked where both answers are the same."""
    differing = [pair for pair in pairs if pair[1] != pair[2]]
    earned = iter(judge(differing) if differing else ())
    return [EQUAL if answer == other else next(earned) for _, answer, other in pairs]


def start_answers(
    student: Student, prompts: Sequence[str], file: Path, *, max_new_tokens: int, progress: Callable[[str], None]
) -> dict[str, str]:
    """By prompt, the greedy answers of `student`, made once: they are kept in `file`."""
    if not file.exists():
        examples = [Example(prompt, prompt, from_user_message(prompt), "") for prompt in prompts]
        batches = answer_examples(student, examples, max_new_tokens=max_new_tokens, progress=progress)
        found = {answer.sample_id: answer.response for batch in batches for answer in batch}
        write_atomically(file, json.dumps({prompt: found[prompt] for prompt in prompts}, indent=1) + "\n")
    return json.loads(file.read_text(encoding="utf-8"))
