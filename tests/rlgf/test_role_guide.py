"""The role GUIDE goes on with texts."""

import asyncio
from dataclasses import dataclass, field

import pytest

from teams_dagster.core.protocol import (
    Answer,
    Completion,
    ErrorKind,
    ModelIdentity,
    Outcome,
    QueryFailed,
    Request,
    Role,
)
from teams_dagster.rlgf.guides import Question
from teams_dagster.rlgf.role_guide import RoleGuide, continuation_query

QUESTIONS = [Question("The box was", " red", 5, "train/0/1"), Question("A day", "", 7, "train/0/2")]


@dataclass
class Client:
    """Answers with the last word that it was shown, and keeps what it was asked."""

    outcome: Outcome = Outcome.USABLE
    fails: bool = False
    asked: list[Request] = field(default_factory=list)

    def identity(self, role: Role) -> ModelIdentity:
        return ModelIdentity("scripted", role.value)

    async def ask(self, request: Request, **_: str | None) -> Answer:
        self.asked.append(request)
        if self.fails:
            raise QueryFailed(ErrorKind.UNREACHABLE, "nobody is there", 3)
        text = request.messages[0].content.rsplit(" ", 1)[-1]
        return Answer(Completion(text, "stop", self.outcome), "id", "key", False)


def asked(client: Client) -> list[str]:
    with asyncio.Runner() as runner:
        return RoleGuide(client, runner)(QUESTIONS)


def test_each_text_is_gone_on_with_in_its_order():
    client = Client()
    assert asked(client) == ["red", "day"]
    assert {request.role for request in client.asked} == {Role.GUIDE}
    assert [request.sampling.max_tokens for request in client.asked] == [5, 7]
    assert client.asked[0].messages[0].content.endswith("The box was red")


def test_a_text_that_was_cut_short_is_gone_on_with_and_a_refusal_is_not():
    assert asked(Client(Outcome.TRUNCATED)) == ["red", "day"]
    assert asked(Client(Outcome.REFUSAL)) == ["", ""]


def test_a_query_that_failed_ends_the_batch():
    with pytest.raises(QueryFailed, match="nobody is there"):
        asked(Client(fails=True))


def test_the_same_question_is_the_same_query_and_another_key_another_replica():
    one, other = QUESTIONS[0], Question("The box was", " red", 5, "train/1/1")
    assert continuation_query(one) == continuation_query(one)
    assert continuation_query(one).replica != continuation_query(other).replica
    assert continuation_query(one).messages == continuation_query(other).messages
