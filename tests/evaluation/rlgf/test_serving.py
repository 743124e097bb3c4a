"""A training in another process asks, and the step answers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from resources.language_models.offline import judge
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Answer, Completion, ErrorKind, Outcome, QueryFailed, Request, Role
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.rlgf.serving import JudgeSilent, Judging, Serving, guide_texts, serving
from teams_dagster.llm.engine import Engine
from teams_dagster.rlgf.asking import AskingEnded, StepConnection
from teams_dagster.rlgf.guides import Question
from teams_dagster.rlgf.judged import JudgedPairs

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


PROMPT, MINE, OTHER = "Which colour is the box?", "It is red.", "It is."
EXAMPLES = {PROMPT: Example("sample-1", "seed-1", Instruction(PROMPT), "Red.")}


@dataclass
class Client:
    """Answers what `says` says of a request; None fails."""

    says: Callable[[Request], str | None]
    asked: list[Request] = field(default_factory=list)
    samples: list[str | None] = field(default_factory=list)

    async def ask(self, request: Request, *, sample_id: str | None = None, **_: Any) -> Answer:
        self.asked.append(request)
        self.samples.append(sample_id)
        text = self.says(request)
        if text is None:
            raise QueryFailed(ErrorKind.UNREACHABLE, "nobody is there", 3)
        return Answer(Completion(text, "stop", Outcome.USABLE), f"request-{len(self.asked)}", "key", False)

    @property
    def engine(self) -> Engine:
        return cast("Engine", self)


def prefers(answer: str) -> Callable[[Request], str]:
    """A judge that prefers `answer` wherever it stands."""
    return lambda request: "A" if request.intent.answers and request.intent.answers[0] == answer else "B"


def earned(client: Client) -> float:
    [score], _ = asyncio.run(Judging(EXAMPLES, width=2)(client.engine, [[PROMPT, MINE, OTHER]]))
    return score


@pytest.mark.parametrize(
    ("says", "score"),
    [
        (prefers(MINE), 1.0),
        (prefers(OTHER), 0.0),
        (lambda _: "A", 0.5),
        (lambda _: "tie", 0.5),
        (lambda _: "both are fine", 0.5),
    ],
    ids=["both orders", "neither order", "the first place", "tie", "unreadable"],
)
def test_an_answer_earns_what_the_judge_says_in_both_orders(says: Callable[[Request], str], score: float) -> None:
    assert earned(Client(says)) == score


def test_the_judge_is_asked_twice_about_the_sample_of_the_prompt() -> None:
    client = Client(prefers(MINE))
    _, requests = asyncio.run(Judging(EXAMPLES, width=2)(client.engine, [[PROMPT, MINE, OTHER]]))
    assert [request.intent.answers for request in client.asked] == [(MINE, OTHER), (OTHER, MINE)]
    assert {request.role for request in client.asked} == {Role.JUDGE}
    assert client.samples == ["sample-1"] * 2
    assert requests == ["request-1", "request-2"]


def embedded(request: Request) -> str:
    """The embedded judge's verdict."""
    assert request.intent.answers is not None
    return judge.preference(request.intent.before, *request.intent.answers)


def test_the_embedded_judge_says_which_of_two_texts_of_a_prompt_is_better() -> None:
    client, better = Client(embedded), "The box is red, since it was painted red."

    def judged(answers: Sequence[tuple[str, str, str]]) -> list[float]:
        return asyncio.run(Judging(EXAMPLES, width=2)(client.engine, answers))[0]

    assert JudgedPairs(judged)([PROMPT, PROMPT], ["No.", better]) == [0.0, 1.0]
    assert [request.intent.answers for request in client.asked] == [("No.", better), (better, "No.")]


def test_a_judge_that_is_silent_earns_nobody_anything() -> None:
    with pytest.raises(JudgeSilent, match="did not answer 2 of 2 queries"):
        earned(Client(lambda _: None))


def test_a_guide_goes_on_with_texts_and_its_requests_are_named() -> None:
    client = Client(lambda _: "and so on")
    texts, requests = asyncio.run(guide_texts(client.engine, [["The box", " was", 5, "a/1"], ["A day", "", 5, "a/2"]]))
    assert texts == ["and so on"] * 2
    assert requests == ["request-1", "request-2"]
    assert {request.role for request in client.asked} == {Role.GUIDE}
