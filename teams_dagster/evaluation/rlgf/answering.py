"""What answers a training: the guide goes on with texts, and the judge compares answers in both orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.asking_judge import Contest, Judgement, judge_contests
from teams_dagster.evaluation.rlgf.serving import Answers
from teams_dagster.llm.engine import Engine
from teams_dagster.rlgf.asking import GUIDE, JUDGE
from teams_dagster.rlgf.dataset_task import DatasetPrompts
from teams_dagster.rlgf.guides import Question
from teams_dagster.rlgf.role_guide import continued, said
from teams_dagster.rlgf.task import Task

RLGF, START = "rlgf", "lora"
"""Who is compared with whom: the model that learns, and the adapter that it started from."""


class JudgeSilent(RuntimeError):
    """The judge gave no verdict where a reward depends on one."""


async def guide_texts(engine: Engine, questions: Sequence[Any]) -> tuple[list[str], list[str]]:
    """What follows each (prompt, beginning, room, key). Raises QueryFailed where the guide did not answer."""
    answers = await continued(engine, [Question(*question) for question in questions])
    return [said(answer) for answer in answers], [answer.request_id for answer in answers]


class Judging:
    """Judges answers to the prompts of a task."""

    def __init__(self, examples: Mapping[str, Example], *, width: int) -> None:
        """`examples` are those that the prompts were made from; `width` pairs of answers are under way at once."""
        self._examples, self._width = examples, width

    async def __call__(self, engine: Engine, answers: Sequence[Any]) -> tuple[list[float], list[str]]:
        """What each (prompt, answer, other answer) earns: the pair's score in a win rate, of both orders.

        1 where the judge prefers it both times, 0 where it prefers the other; a tie, a verdict that cannot be read, and
        naming the same place twice are worth a half. Raises JudgeSilent where a query was not answered.
        """
        contests = [self._contest(*answer) for answer in answers]
        judged = [judgement async for judgement in judge_contests(engine, contests, width=self._width)]
        if silent := sum(judgement.unanswered for judgement in judged):
            raise JudgeSilent(
                f"the judge did not answer {silent} of {2 * len(judged)} queries, and each is a part of a reward: the"
                " ledger (llm_calls.error_kind, error_detail) says why. Check TEAMS_JUDGE_BASE_URL, TEAMS_JUDGE_MODEL"
                " and TEAMS_JUDGE_API_KEY, and run the same step again: what was answered is kept"
            )
        return [_score(judgement) for judgement in judged], [each for one in judged for each in _request_ids(one)]

    def _contest(self, prompt: str, answer: str, other: str) -> Contest:
        example = self._examples[prompt]
        return Contest(RLGF, START, example.sample_id, example.seed_id, example.instruction, answer, other)


def _score(judgement: Judgement) -> float:
    pair = judgement.pair
    assert pair is not None, "both queries were answered"
    return pair.score


def _request_ids(judgement: Judgement) -> list[str]:
    both = (judgement.shown_first.request_id, judgement.shown_second.request_id)
    return [request_id for request_id in both if request_id is not None]


def answering(task: Task | DatasetPrompts, *, width: int) -> dict[str, Answers]:
    """By what a training of `task` can ask for, what answers it; `width` pairs of answers are judged at once."""
    examples = {} if isinstance(task, Task) else task.examples()
    return {GUIDE: guide_texts, JUDGE: Judging(examples, width=width)}
