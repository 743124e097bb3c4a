"""What an attempt brought is on the ledger the same way, asked directly or through a batch, on either database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resources.language_models.openai_batches import OpenAIBatches
from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import Answer, Outcome, Role
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.batching import BatchPace
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.pricing.prices import load_prices
from tests.support.openai_batches import OpenAIBatchServer
from tests.support.openai_server import Fault, OpenAIServer, Reply
from tests.support.questions import ask_all, question

WAYS = ["directly", "through a batch"]
UNSTORABLE = [pytest.param("\x00", id="NUL"), pytest.param("\ud800", id="lone surrogate")]


@pytest.fixture
def ledger(new_ledger: Callable[[], str]) -> Iterator[Ledger]:
    with Ledger(new_ledger()) as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[OpenAIBatchServer]:
    with OpenAIBatchServer() as served:
        served.ends_after_polls = 1
        yield served


@pytest.fixture(autouse=True)
def _hands_in_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("teams_dagster.llm.batching.QUIET_S", 0.1)


def ask(
    way: str, server: OpenAIBatchServer, ledger: Ledger, *texts: str, run_id: str = "run-1", prices: Path | None = None
) -> list[Answer]:
    """The answers to `texts`, in a step of its own."""

    async def step() -> list[Answer]:
        model = OpenAICompatibleModel("m", base_url=server.base_url)
        endpoint = OpenAIBatches(model)
        engine = Engine(
            {Role.EXPERT: model},
            ledger,
            CallContext(run_id, "asset"),
            load_prices(prices),
            first_wait_s=0.01,
            batches={Role.EXPERT: endpoint} if way == "through a batch" else None,
            batch_pace=BatchPace(wait_s=60, poll_s=0.02),
        )
        try:
            return await asyncio.gather(*[engine.ask(question(text)) for text in texts])
        finally:
            await engine.close()
            await endpoint.close()

    return asyncio.run(step())


def rows(ledger: Ledger, query: str) -> list[tuple[Any, ...]]:
    with ledger.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("character", UNSTORABLE)
def test_a_paid_text_that_no_database_holds_is_kept_as_malformed_and_not_paid_again(
    server: OpenAIBatchServer, ledger: Ledger, way: str, character: str
) -> None:
    server.respond = lambda body: Reply(f"a{character}b")
    for run_id in ("run-1", "run-2"):
        (answer,) = ask(way, server, ledger, "q", run_id=run_id)
        assert (answer.completion.text, answer.completion.outcome) == ("a\ufffdb", Outcome.MALFORMED)
    assert server.count == 1
    assert rows(ledger, "select text, outcome from answers") == [("a\ufffdb", "malformed")]
    assert rows(ledger, "select status, outcome, completion_tokens from results") == [("ok", "malformed", 5)]
    assert rows(ledger, "select request_key from claims") == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("character", UNSTORABLE)
def test_a_reason_to_finish_that_no_database_holds_does_not_cost_the_answer(
    server: OpenAIBatchServer, ledger: Ledger, way: str, character: str
) -> None:
    server.respond = lambda body: Reply("an answer", finish_reason=f"st{character}op")
    (answer,) = ask(way, server, ledger, "q")
    assert (answer.completion.text, answer.completion.outcome) == ("an answer", Outcome.UNFINISHED)
    assert rows(ledger, "select text, finish_reason from answers") == [("an answer", "st\ufffdop")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("character", UNSTORABLE)
def test_an_answer_that_no_database_holds_keeps_none_of_the_others_from_the_ledger(
    server: OpenAIBatchServer, ledger: Ledger, way: str, character: str
) -> None:
    texts = [f"question {number}" for number in range(4)]
    server.respond = lambda body: Reply(character if body["messages"][-1]["content"] == texts[1] else "fine")
    found = [answer.completion.text for answer in ask(way, server, ledger, *texts)]
    assert found == ["fine", "\ufffd", "fine", "fine"]
    assert server.count == 4


@pytest.mark.parametrize("way", WAYS)
def test_a_number_of_tokens_that_no_call_can_have_does_not_cost_the_answer_and_is_not_believed(
    server: OpenAIBatchServer, ledger: Ledger, prices: Path, way: str
) -> None:
    server.respond = lambda body: Reply("an answer", prompt_tokens=10**30)
    (answer,) = ask(way, server, ledger, "q", prices=prices)
    assert answer.completion.text == "an answer"
    assert rows(ledger, "select prompt_tokens, cost_nano_usd from results") == [(None, None)]


@pytest.mark.parametrize("character", UNSTORABLE)
def test_a_failure_whose_words_no_database_holds_is_on_the_ledger_of_a_direct_call(
    server: OpenAIBatchServer, ledger: Ledger, character: str
) -> None:
    escaped = {"\x00": "\\u0000", "\ud800": "\\ud800"}[character]
    server.faults.append(Fault(status=500, body=f'{{"error": {{"message": "on{escaped}fire"}}}}'))
    ask("directly", server, ledger, "q")
    details = rows(ledger, "select error_detail from results order by seq")
    assert details == [("HTTP 500: on\ufffdfire",), (None,)]


@pytest.mark.parametrize("character", UNSTORABLE)
def test_a_failure_whose_words_no_database_holds_is_on_the_ledger_of_a_batch(
    server: OpenAIBatchServer, ledger: Ledger, character: str
) -> None:
    escaped = {"\x00": "\\u0000", "\ud800": "\\ud800"}[character]

    def fail_first(custom_id: str, line: bytes) -> bytes:
        if len(server.batches) > 1:
            return line
        failure = '{"custom_id": "%s", "response": null, "error": {"code": "server_error", "message": "on%sfire"}}'
        return (failure % (custom_id, escaped)).encode()

    server.spoil = fail_first
    ask("through a batch", server, ledger, "q")
    details = rows(ledger, "select error_detail from results order by seq")
    assert details == [("server_error: on\ufffdfire",), (None,)]


@pytest.mark.parametrize(("way", "share"), [("directly", 1.0), ("through a batch", 0.5)])
def test_an_answer_is_paid_at_the_price_of_the_way_it_was_asked(
    server: OpenAIBatchServer, ledger: Ledger, prices: Path, way: str, share: float
) -> None:
    server.respond = lambda body: Reply("fine", prompt_tokens=20, completion_tokens=10)
    ask(way, server, ledger, "q", prices=prices)
    (spent,) = rows(ledger, "select nano_usd from spending where scope = 'project'")
    assert rows(ledger, "select cost_nano_usd from results") == [spent] == [((20 * 100 + 10 * 1_000) * share,)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reply", "prompt", "completion"),
    [
        (Reply(completion_tokens=10_000_000), 10, None),
        (Reply(completion_tokens=10_000_000, reasoning_tokens=9_999_000), 10, None),
        (Reply(prompt_tokens=10_000_000), None, 5),
        (Reply(completion_tokens=60_000, reasoning_tokens=59_000), 10, 60_000),
        (Reply(prompt_tokens=100_000), 100_000, 5),
    ],
    ids=["an answer", "its reasoning", "a prompt", "reasoning beyond the limit", "a provider's own prompt"],
)
def test_a_count_far_beyond_what_a_query_may_take_is_unknown(
    openai_server: OpenAIServer, ledger: Ledger, reply: Reply, prompt: int | None, completion: int | None
) -> None:
    openai_server.respond = lambda body: reply
    (answer,) = ask_all(openai_server, ledger, ["text"])
    usage = answer.completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (prompt, completion)
    if completion is None:
        assert usage.reasoning_tokens is None
