"""The step's end of the socket: it asks language models for a training that runs in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.judging import Contest, Judgement, judge_contests
from teams_dagster.llm.engine import Engine
from teams_dagster.rlgf.asking import GUIDE, JUDGE, LENGTH_BYTES
from teams_dagster.rlgf.dataset_task import DatasetPrompts
from teams_dagster.rlgf.guides import Question, continued, said
from teams_dagster.rlgf.task import Task

Answers = Callable[[Engine, Sequence[Any]], Awaitable[tuple[list[Any], list[str]]]]
"""Of an engine and a batch of questions: the answers, and the ids of the requests that brought them."""


@dataclass
class Serving:
    """What became of the queries so far."""

    asked: Path
    """The file that each request's id is written to, one a line with what it was for, before its answer is used."""
    error: Exception | None = None
    """What ended the asking, which ends the training too."""


@asynccontextmanager
async def serving(
    asking: AbstractAsyncContextManager[Engine], answers: Mapping[str, Answers], address: Path, asked: Path
) -> AsyncIterator[Serving]:
    """Answers at the socket `address` while the block runs, one batch after another.

    Args:
        asking: Opens the engine.
        answers: By what is asked for, what answers it.
        asked: Where the ids of requests are appended.
    """
    async with asking as engine:
        state = Serving(asked)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    size = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
                    query: dict[str, Any] = json.loads(await reader.readexactly(size))
                    reply = await _reply(state, engine, answers[query["what"]], query)
                    body = json.dumps(reply).encode()
                    writer.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                pass  # the training has ended, or was ended
            finally:
                writer.close()

        server = await asyncio.start_unix_server(serve, path=str(address))
        try:
            yield state
        finally:
            server.close()


async def _reply(state: Serving, engine: Engine, answer: Answers, query: Mapping[str, Any]) -> dict[str, Any]:
    try:
        answers, request_ids = await answer(engine, query["questions"])
    except Exception as error:
        state.error = error
        return {"ended": f"{error}" or type(error).__name__}
    with state.asked.open("a", encoding="utf-8") as file:
        file.write("".join(f"{query['what']} {request_id}\n" for request_id in request_ids))
        file.flush()
        os.fsync(file.fileno())
    return {"answers": answers, "queries": len(request_ids)}


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
