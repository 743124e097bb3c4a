"""Who answers a training: the guide's texts, and what a judge's two verdicts earn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from resources.language_models.offline import judge
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Answer, Completion, ErrorKind, Outcome, QueryFailed, Request, Role
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.rlgf.answering import JudgeSilent, Judging, guide_texts
from teams_dagster.llm.engine import Engine
from teams_dagster.rlgf.judged import JudgedPairs

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
