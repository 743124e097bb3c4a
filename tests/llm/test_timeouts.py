"""A server that is too slow is asked less at a time, which is said, and ends the step when nothing gets through."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import Completion, ErrorKind, Request, Role
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm import circuit, endpoint
from teams_dagster.llm.circuit import EndpointBroken
from teams_dagster.llm.concurrency import AdaptiveLimit
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.pricing.prices import load_prices
from tests.support.openai_server import Fault, OpenAIServer
from tests.support.questions import question

TIMEOUT_S = 0.2


def ask_all(server: OpenAIServer, ledger: Ledger, number: int, hung: int) -> tuple[list[Any], list[str]]:
    """Answers or exceptions, and what was said: the server answers one query, and hangs in the next `hung` calls."""
    said: list[str] = []

    async def asking() -> list[Any]:
        model = OpenAICompatibleModel("m", base_url=server.base_url, timeout_s=TIMEOUT_S)
        engine = Engine(
            {Role.EXPERT: model},
            ledger,
            CallContext("run-1", "asset"),
            load_prices(),
            max_in_flight=16,
            first_wait_s=0.01,
            say=said.append,
        )
        try:
            await engine.ask(question("one that is answered"))
            server.faults.extend([Fault(hang_s=2 * TIMEOUT_S)] * hung)
            texts = [str(n) for n in range(number)]
            return await asyncio.gather(*[engine.ask(question(text)) for text in texts], return_exceptions=True)
        finally:
            await engine.close()
            await model.close()

    return asyncio.run(asking()), said


def test_calls_that_time_out_together_are_fewer_afterwards_and_the_log_says_so(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    results, said = ask_all(openai_server, ledger, 16, hung=20)
    assert not [result for result in results if isinstance(result, BaseException)]
    told = re.search(r"from now on (\d+) at a time \(TEAMS_EXPERT_TIMEOUT_S, TEAMS_MAX_IN_FLIGHT\)", said[0])
    assert told is not None
    assert int(told[1]) < 16  # how far it falls is the limit's own test, by a clock of its own
    assert openai_server.base_url in said[0]


def test_a_server_from_which_nothing_comes_ends_the_step_with_the_reason(
    openai_server: OpenAIServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit, "STALLED_S", 4 * TIMEOUT_S)
    results, _ = ask_all(openai_server, ledger, 200, hung=1_000)
    ended = results[-1]
    assert isinstance(ended, EndpointBroken)
    assert ended.kind is ErrorKind.TIMEOUT
    assert "no complete answer within 0.2 s" in str(ended)
    assert "TEAMS_EXPERT_TIMEOUT_S" in str(ended)


def test_calls_that_are_ready_when_a_step_ends_so_are_not_sent(
    openai_server: OpenAIServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Request] = []  # a busy machine may end a call before the server has read it: the client's side counts
    complete = OpenAICompatibleModel.complete

    async def counted(model: OpenAICompatibleModel, request: Request) -> Completion:
        sent.append(request)
        return await complete(model, request)

    monkeypatch.setattr(OpenAICompatibleModel, "complete", counted)
    monkeypatch.setattr(circuit, "STALLED_S", 2 * TIMEOUT_S)
    ask_all(openai_server, ledger, 200, hung=1_000)
    with ledger.engine.connect() as connection:
        unsent = connection.exec_driver_sql(
            "select count(*) from results where error_kind = 'unreachable'"
        ).scalar_one()
        attempts = connection.exec_driver_sql("select count(*) from attempts").scalar_one()
    assert unsent > 0
    assert len(sent) == attempts - unsent


def test_while_nothing_comes_the_log_is_told_the_last_reason(
    openai_server: OpenAIServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "TOLD_EVERY_S", 3 * TIMEOUT_S)
    _, said = ask_all(openai_server, ledger, 1, hung=4)
    (told,) = [line for line in said if "no answer for" in line]
    assert told.endswith("the last attempt: timeout: no complete answer within 0.2 s")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("under_way", "falls"), [(64, [16, 4, 1]), (8, [2, 1])])
def test_a_round_of_timeouts_is_one_signal(under_way: int, falls: list[int]) -> None:
    clock = Clock()
    limit = AdaptiveLimit(64, clock=clock)
    found: list[int] = []

    async def rounds() -> None:
        for clock.now in (120.0, 240.0, 360.0, 480.0):
            calls = min(under_way, limit.limit)
            for _ in range(calls):
                await limit.acquire()
            for _ in range(calls):
                if limit.timed_out(120.0):
                    found.append(limit.limit)
                clock.now += 0.01
            for _ in range(calls):
                limit.release()

    asyncio.run(rounds())
    assert found == falls
