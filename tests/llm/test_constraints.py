"""Holding a model to the replies that a question allows: what is sent, what is kept, what the asker sees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Answer, ModelIdentity, Outcome, Request, Role
from teams_dagster.core.replies import Choice, Way
from teams_dagster.instructions.requests import parse_rewrite, review_query, rewrite_query
from teams_dagster.instructions.review import Verdict, parse_verdict
from teams_dagster.ledger.writer import Ledger
from teams_dagster.lineage.replay import LedgerAsker
from teams_dagster.llm.constraints import as_sent
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.keys import request_key
from teams_dagster.pricing.prices import load_prices
from tests.support.openai_server import Body, OpenAIServer
from tests.support.questions import question

REVIEW = review_query(Instruction("Name a colour."), Instruction("Name two colours."))
BREADTH = rewrite_query(Role.REVIEWER, Operation.BREADTH, Instruction("Name a colour."))
IDENTITY = ModelIdentity("openai", "m", "https://host/v1")


def held(server: OpenAIServer, ledger: Ledger, way: Way | None, asked: Request, *, logprobs: bool = False) -> Answer:
    """The answer to `asked` of a model that is held so."""

    async def steps() -> Answer:
        model = OpenAICompatibleModel("m", base_url=server.base_url, structured=way, logprobs=logprobs)
        engine = Engine({Role.REVIEWER: model}, ledger, CallContext("run-1", "asset"), load_prices())
        try:
            return await engine.ask(asked)
        finally:
            await engine.close()
            await model.close()

    return asyncio.run(steps())


def rows(ledger: Ledger, query: str) -> list[tuple[Any, ...]]:
    with ledger.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def saying(text: str) -> Callable[[Body], str]:
    return lambda body: text


def test_a_question_without_a_constraint_keeps_the_key_that_it_always_had() -> None:
    asked = replace(question("Why is the sky blue?"), allowed=Choice("verdict", ("Equal", "Not Equal")))
    assert request_key(IDENTITY, as_sent(asked, IDENTITY)) == "fc6251cdc1a6b57368531f9eb49f1f03"
    local = replace(IDENTITY, structured=Way.LOGPROBS)
    free = replace(asked, allowed=BREADTH.allowed)
    assert request_key(local, as_sent(free, local)) == "fc6251cdc1a6b57368531f9eb49f1f03"


def test_each_way_and_each_set_of_replies_is_another_question() -> None:
    ways = [replace(IDENTITY, structured=way) for way in (None, Way.JSON_SCHEMA, Way.CHOICE, Way.GRAMMAR)]
    asked = [REVIEW, replace(REVIEW, allowed=Choice("verdict", ("Equal", "Not Equal", "Unsure")))]
    keys = {request_key(identity, as_sent(each, identity)) for identity in ways for each in asked}
    assert len(keys) == 1 + 3 * 2


@pytest.mark.parametrize(
    ("way", "field"),
    [
        (Way.CHOICE, {"structured_outputs": {"choice": ["Equal", "Not Equal"]}}),
        (Way.GRAMMAR, {"grammar": 'root ::= "Equal" | "Not Equal"'}),
    ],
)
def test_a_way_that_keeps_the_prompts_form_adds_one_field(
    openai_server: OpenAIServer, ledger: Ledger, way: Way, field: Body
) -> None:
    openai_server.respond = saying("Not Equal")
    held(openai_server, ledger, None, REVIEW)
    answer = held(openai_server, ledger, way, REVIEW)
    told, constrained = openai_server.received
    assert constrained == told | field
    assert parse_verdict(answer.completion.text) is Verdict.NOT_EQUAL


def test_a_json_schema_is_sent_with_words_that_say_so(openai_server: OpenAIServer, ledger: Ledger) -> None:
    openai_server.respond = saying('{"verdict": "Equal"}')
    answer = held(openai_server, ledger, Way.JSON_SCHEMA, REVIEW)
    (body,) = openai_server.received
    assert body["response_format"]["json_schema"]["schema"]["properties"] == {
        "verdict": {"type": "string", "enum": ["Equal", "Not Equal"]}
    }
    assert body["messages"][-1]["content"].endswith('Reply with JSON alone: {"verdict": "Equal" | "Not Equal"}')
    assert answer.completion.text == "Equal"


def test_the_ledger_keeps_what_was_sent_and_what_was_said(openai_server: OpenAIServer, ledger: Ledger) -> None:
    openai_server.respond = saying('{"verdict": "Equal"}')
    answer = held(openai_server, ledger, Way.JSON_SCHEMA, REVIEW)
    ((structured, allowed, messages),) = rows(ledger, "select structured, allowed_replies, messages from questions")
    assert (structured, json.loads(allowed)) == ("json_schema", {"verdict": ["Equal", "Not Equal"]})
    assert json.loads(messages) == openai_server.received[0]["messages"]
    assert rows(ledger, "select text from answers") == [('{"verdict": "Equal"}',)]
    identity = ModelIdentity("openai", "m", openai_server.base_url, structured=Way.JSON_SCHEMA)
    replayed = asyncio.run(LedgerAsker(ledger, [("reviewer", identity)]).ask(REVIEW))
    assert replayed.completion == answer.completion


@pytest.mark.parametrize("way", [Way.JSON_SCHEMA, Way.CHOICE])
def test_a_two_part_rewrite_comes_as_json_and_is_read_as_its_prompt_says(
    openai_server: OpenAIServer, ledger: Ledger, way: Way
) -> None:
    openai_server.respond = saying('{"instruction": "Name a shade.", "input": "red, blue"}')
    text = held(openai_server, ledger, way, BREADTH).completion.text
    parsed = parse_rewrite(Operation.BREADTH, Instruction("Name a colour."), text)
    assert (parsed.text, parsed.input) == ("Name a shade.", "red, blue")


def test_a_reply_that_is_not_allowed_is_malformed_and_no_verdict_though_it_can_be_guessed(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    openai_server.respond = saying("They are equal.")
    answer = held(openai_server, ledger, Way.GRAMMAR, REVIEW)
    assert answer.completion.outcome is Outcome.MALFORMED
    assert parse_verdict(answer.completion.text) is Verdict.UNCLEAR
    assert rows(ledger, "select outcome, text from answers") == [("malformed", "They are equal.")]


@pytest.mark.parametrize(
    ("way", "said", "most"), [(Way.JSON_SCHEMA, '{"verdict": "Equal"}', 20), (Way.GRAMMAR, "Equal", 200)]
)
def test_only_llama_cpp_is_asked_for_more_tokens_than_openai_lists(
    openai_server: OpenAIServer, ledger: Ledger, way: Way, said: str, most: int
) -> None:
    openai_server.respond = saying(said)
    held(openai_server, ledger, way, REVIEW, logprobs=True)
    assert (openai_server.received[0]["logprobs"], openai_server.received[0]["top_logprobs"]) == (True, most)


def test_the_probability_of_each_verdict_is_kept_where_log_probabilities_come_back(ledger: Ledger) -> None:
    with OpenAIServer(saying("Not Equal")) as server:
        server.logprobs = [
            {"token": "Not", "logprob": -0.2, "top_logprobs": [{"token": "Equal", "logprob": -1.2}]},
            {"token": " Equal", "logprob": 0.0, "top_logprobs": []},
        ]
        probabilities = held(server, ledger, Way.GRAMMAR, REVIEW, logprobs=True).completion.probabilities
    assert probabilities == pytest.approx({"Equal": 0.2689, "Not Equal": 0.7311}, abs=1e-4)
    assert json.loads(rows(ledger, "select probabilities from answers")[0][0]) == probabilities
