"""A training in another process asks, and the step answers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from teams_dagster.evaluation.rlgf.serving import Serving, serving
from teams_dagster.llm.engine import Engine
from teams_dagster.rlgf.asking import AskingEnded, StepConnection
from teams_dagster.rlgf.guides import Question

QUESTIONS = [Question("The box was", " red", 5, "train/0/1"), Question("A day", "", 7, "train/0/2")]


@asynccontextmanager
async def no_engine() -> AsyncIterator[Engine]:
    yield cast("Engine", None)


async def echoed(engine: Engine, questions: Sequence[Any]) -> tuple[list[Any], list[str]]:
    return [f"{prompt}{begun}" for prompt, begun, *_ in questions], [f"request-{key}" for *_, key in questions]


async def failing(engine: Engine, questions: Sequence[Any]) -> tuple[list[Any], list[str]]:
    raise LookupError("the budget is used up")


def served(folder: Path, answer: Any, ask: Callable[[StepConnection], Any]) -> tuple[Any, Serving]:
    """What `ask` gets of `answer`, and what the step knows afterwards."""
    address = folder / "asking"

    def training() -> Any:
        with StepConnection(address) as step:
            return ask(step)

    async def both() -> tuple[Any, Serving]:
        answers = {"guide": answer, "judge": answer}
        async with serving(no_engine(), answers, address, folder / "asked.txt") as state:
            return await asyncio.to_thread(training), state

    return asyncio.run(both())


def test_each_question_gets_its_answer_batch_after_batch(tmp_path: Path) -> None:
    said, _ = served(tmp_path, echoed, lambda step: [step.guide(QUESTIONS), step.guide(QUESTIONS[1:])])
    assert said == [["The box was red", "A day"], ["A day"]]


def test_the_training_counts_what_its_answers_took(tmp_path: Path) -> None:
    def ask(step: StepConnection) -> list[int]:
        counts = [step.queries]
        for questions in (QUESTIONS, QUESTIONS[1:]):
            step.guide(questions)
            counts.append(step.queries)
        return counts

    assert served(tmp_path, echoed, ask)[0] == [0, 2, 3]


def test_what_is_longer_than_a_packet_arrives_whole(tmp_path: Path) -> None:
    long = [Question("é" * 3_000_000, "", 1, "key")]
    said, _ = served(tmp_path, echoed, lambda step: step.guide(long))
    assert said == ["é" * 3_000_000]


def test_the_id_of_each_request_is_written_down(tmp_path: Path) -> None:
    served(tmp_path, echoed, lambda step: step.guide(QUESTIONS))
    assert (tmp_path / "asked.txt").read_text() == "guide request-train/0/1\nguide request-train/0/2\n"


def test_what_ends_the_asking_is_told_to_the_training_and_kept_for_the_step(tmp_path: Path) -> None:
    def ask(step: StepConnection) -> str:
        with pytest.raises(AskingEnded) as ended:
            step.judge([("prompt", "answer", "other")])
        return str(ended.value)

    said, state = served(tmp_path, failing, ask)
    assert said == "the budget is used up"
    assert isinstance(state.error, LookupError)
    assert not (tmp_path / "asked.txt").exists()


def test_a_step_that_is_gone_ends_the_training(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "asking"))
        listening.listen()
        with StepConnection(tmp_path / "asking") as step:
            taken, _ = listening.accept()
            taken.close()
            with pytest.raises((AskingEnded, BrokenPipeError, ConnectionResetError)):
                step.guide(QUESTIONS)


def test_what_is_sent_is_plain_json(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "asking"))
        listening.listen()
        with StepConnection(tmp_path / "asking") as step:
            taken, _ = listening.accept()
            body = json.dumps({"answers": [0.5], "queries": 2}).encode()
            taken.sendall(len(body).to_bytes(8, "big") + body)
            assert step.judge([("prompt", "answer", "other")]) == [0.5]
            size = int.from_bytes(taken.recv(8), "big")
            assert json.loads(taken.recv(size)) == {"what": "judge", "questions": [["prompt", "answer", "other"]]}
            taken.close()
