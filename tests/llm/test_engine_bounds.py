"""What holds an engine back: budgets, other processes' claims, ceilings, and an endpoint that is broken."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import ModelIdentity, Role, Sampling
from teams_dagster.ledger import schema
from teams_dagster.ledger.budgets import Budget, Budgets, recount
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.owners import batch_owner
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.budget_gate import PriceUnknown
from teams_dagster.llm.circuit import EndpointBroken
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.endpoint import RateCeiling
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.keys import request_key
from teams_dagster.pricing.prices import load_prices
from tests.support.openai_server import Body, Fault, OpenAIServer, Reply, fine
from tests.support.processes import until
from tests.support.questions import question


async def ask_all(
    server: OpenAIServer,
    ledger: Ledger,
    texts: Sequence[str],
    *,
    run_id: str = "run-1",
    prices: Path | None = None,
    **options: Any,
) -> list[Any]:
    """What came of asking each of `texts` through an engine of its own: an answer or an error."""
    model = OpenAICompatibleModel("m", base_url=server.base_url)
    context = CallContext(run_id, "asset")
    engine = Engine({Role.EXPERT: model}, ledger, context, load_prices(prices), first_wait_s=0.01, **options)
    try:
        asks = [engine.ask(question(text, sampling=Sampling(max_tokens=100)), transition_id=text) for text in texts]
        return await asyncio.gather(*asks, return_exceptions=True)
    finally:
        await engine.close()
        await model.close()


def kinds(results: Sequence[Any]) -> Counter[str]:
    return Counter(type(result).__name__ for result in results)


def claims(ledger: Ledger) -> int:
    with ledger.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(schema.claims)).scalar_one()


def audited(ledger: Ledger) -> bool:
    with ledger.engine.connect() as connection:
        return ledger.spent() == recount(connection)


TEXTS = [f"question {i}" for i in range(50)]


def test_not_one_query_is_sent_beyond_a_budget_and_more_budget_goes_on(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    twenty = Budgets(project=Budget(queries=20))
    first = asyncio.run(ask_all(openai_server, ledger, TEXTS, budgets=twenty))
    assert kinds(first) == {"Answer": 20, "BudgetExhausted": 30}
    assert openai_server.count == 20
    rest = asyncio.run(ask_all(openai_server, ledger, TEXTS, run_id="run-2", budgets=Budgets(Budget(queries=50))))
    assert kinds(rest) == {"Answer": 50}
    assert openai_server.count == 50
    assert audited(ledger)


def test_two_runs_share_a_budget_and_never_ask_the_same(ledger: Ledger, tmp_path: Path) -> None:
    with OpenAIServer(latency_s=0.02) as server, Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as other:

        async def both() -> list[Any]:
            budgets = Budgets(Budget(queries=30))
            runs = [
                ask_all(server, ledger, TEXTS, run_id="run-1", budgets=budgets, max_in_flight=8),
                ask_all(server, other, TEXTS[::-1], run_id="run-2", budgets=budgets, max_in_flight=8),
            ]
            return [result for run in await asyncio.gather(*runs) for result in run]

        results = asyncio.run(both())
        asked = Counter(body["messages"][-1]["content"] for body in server.received)
        assert server.count == 30
        assert max(asked.values()) == 1
        assert kinds(results).keys() <= {"Answer", "BudgetExhausted"}
        assert audited(ledger)


def test_two_runs_over_the_same_questions_pay_each_once(ledger: Ledger, tmp_path: Path) -> None:
    with OpenAIServer(latency_s=0.02) as server, Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as other:

        async def both() -> list[Any]:
            runs = [ask_all(server, ours, TEXTS, run_id=f"run {n}") for n, ours in enumerate((ledger, other))]
            return [result for run in await asyncio.gather(*runs) for result in run]

        assert kinds(asyncio.run(both())) == {"Answer": 100}
        assert server.count == 50
        assert claims(ledger) == 0


def test_dollars_are_spent_to_the_last_question_that_fits_and_not_beyond(
    openai_server: OpenAIServer, ledger: Ledger, prices: Path
) -> None:
    openai_server.respond = lambda body: Reply(fine(body), prompt_tokens=20, completion_tokens=10)
    cost, bound = 20 * 100 + 10 * 1000, 250 * 100 + 100 * 1000
    budget = Budgets(Budget(nano_usd=30 * cost))
    results = asyncio.run(ask_all(openai_server, ledger, TEXTS, prices=prices, budgets=budget))
    answered = kinds(results)["Answer"]
    assert kinds(results)["BudgetExhausted"] == 50 - answered
    assert ledger.spent().nano_usd == answered * cost <= 30 * cost
    assert ledger.spent().nano_usd > 30 * cost - bound
    assert audited(ledger)


def test_dollars_cannot_be_bounded_without_a_price(openai_server: OpenAIServer, ledger: Ledger) -> None:
    results = asyncio.run(ask_all(openai_server, ledger, ["one"], budgets=Budgets(Budget(nano_usd=1))))
    assert isinstance(results[0], PriceUnknown)
    assert "TEAMS_PRICES" in str(results[0])
    assert openai_server.count == 0


def test_a_retry_counts_where_the_first_attempt_may_have_been_billed(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    openai_server.faults.append(Fault(disconnect=True))
    results = asyncio.run(ask_all(openai_server, ledger, ["one"], budgets=Budgets(Budget(queries=1))))
    assert kinds(results) == {"BudgetExhausted": 1}
    assert openai_server.count == 1
    assert claims(ledger) == 0
    openai_server.faults.append(Fault(status=500))
    results = asyncio.run(ask_all(openai_server, ledger, ["two"], budgets=Budgets(Budget(queries=2))))
    assert kinds(results) == {"Answer": 1}


def test_a_wrong_key_stops_the_step_and_not_ten_thousand_rows(openai_server: OpenAIServer, ledger: Ledger) -> None:
    openai_server.faults.extend([Fault(status=401, body='{"error": {"message": "no such key"}}')] * 1_000)
    results = asyncio.run(ask_all(openai_server, ledger, [str(i) for i in range(1_000)], max_in_flight=8))
    assert openai_server.count <= 16
    broken = [result for result in results if isinstance(result, EndpointBroken)]
    assert len(broken) >= 984
    assert "no such key" in str(broken[0])
    assert openai_server.base_url in str(broken[0])
    assert claims(ledger) == 0


def test_what_was_not_sent_when_a_step_ends_is_never_sent(ledger: Ledger) -> None:
    with OpenAIServer() as server:

        async def step() -> None:
            model = OpenAICompatibleModel("m", base_url=server.base_url)
            engine = Engine({Role.EXPERT: model}, ledger, CallContext("run-1", "asset"), load_prices(), max_in_flight=4)
            await engine.ask(question("until one is usable, fewer are under way"))
            server.holds_until = 5
            asks = [asyncio.create_task(engine.ask(question(text))) for text in TEXTS]
            await asyncio.to_thread(until, lambda: server.count == 5)
            for task in asks:
                task.cancel()
            server.holds_until = 0
            await engine.close()
            await model.close()

        asyncio.run(step())
        assert server.count == 5
        with ledger.engine.connect() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(schema.answers)).scalar_one() == 5
        assert claims(ledger) == 0


def test_a_role_keeps_to_its_requests_per_minute(openai_server: OpenAIServer, ledger: Ledger) -> None:
    began = time.monotonic()
    ceilings = {Role.EXPERT: RateCeiling(requests_per_minute=600)}
    assert kinds(asyncio.run(ask_all(openai_server, ledger, TEXTS[:20], ceilings=ceilings))) == {"Answer": 20}
    assert time.monotonic() - began >= 0.9


def test_answers_that_are_reused_wait_for_no_pace(openai_server: OpenAIServer, ledger: Ledger) -> None:
    asyncio.run(ask_all(openai_server, ledger, TEXTS[:20]))
    ceilings = {Role.EXPERT: RateCeiling(requests_per_minute=1)}
    again = asyncio.wait_for(ask_all(openai_server, ledger, TEXTS[:20], ceilings=ceilings), timeout=60)
    assert kinds(asyncio.run(again)) == {"Answer": 20}


PAUSE_S = 1.5
REFUSED = Fault(status=429, headers={"Retry-After": str(PAUSE_S)})


def answered_after(server: OpenAIServer, ledger: Ledger, faults: list[Fault]) -> list[float]:
    """After how many seconds each of six questions was answered, asked one by one by an engine that meets `faults`."""
    asyncio.run(ask_all(server, ledger, ["what is imported for the first question"]))
    times: list[float] = []

    def respond(body: Body) -> str:
        times.append(time.monotonic())
        return fine(body)

    server.respond = respond
    server.faults.extend(faults)
    began = time.monotonic()
    asyncio.run(ask_all(server, ledger, TEXTS[:6], max_in_flight=1))
    return [moment - began for moment in times]


@pytest.mark.parametrize(("refusals", "pauses"), [(1, False), (2, True)])
def test_a_pause_holds_for_all_once_refusals_follow_each_other(
    openai_server: OpenAIServer, ledger: Ledger, refusals: int, pauses: bool
) -> None:
    first, *_, last = answered_after(openai_server, ledger, [REFUSED] * refusals)
    assert (first >= 0.9 * PAUSE_S) is pauses
    assert last >= 0.9 * PAUSE_S


def test_a_failure_of_another_kind_before_a_refusal_pauses_nobody_else(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    first, *_, last = answered_after(openai_server, ledger, [Fault(status=500), REFUSED])
    assert first < 0.9 * PAUSE_S <= last


def test_rows_that_the_server_rejects_fail_alone_once_it_answered_others(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    def rejecting(body: Body) -> str:
        if body["messages"][-1]["content"] == TEXTS[0]:
            openai_server.faults.extend([Fault(status=400)] * 15)
        return fine(body)

    openai_server.respond = rejecting
    results = asyncio.run(ask_all(openai_server, ledger, TEXTS, max_in_flight=1))
    assert kinds(results) == {"Answer": 35, "QueryFailed": 15}


def test_an_endpoint_that_asks_for_a_day_stops_the_step_at_once(openai_server: OpenAIServer, ledger: Ledger) -> None:
    openai_server.faults.extend([Fault(status=429, headers={"Retry-After": "86400"})] * 60)
    began = time.monotonic()
    found = kinds(asyncio.run(ask_all(openai_server, ledger, TEXTS, max_in_flight=4)))
    assert found["EndpointBroken"] + found["QueryFailed"] == 50
    assert found["EndpointBroken"] > 30
    assert time.monotonic() - began < 20
    assert claims(ledger) == 0


def test_refusals_for_overload_are_waited_out_however_long_the_queue_was(
    openai_server: OpenAIServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teams_dagster.llm.retries.OVERLOAD_S", 0.8)
    answered: list[str] = []

    def then_refuse(body: Body) -> str:
        answered.append(body["messages"][-1]["content"])
        if len(answered) == 14:  # those who still wait have waited longer than they may be refused
            openai_server.faults.extend([Fault(status=429)] * 3)
        return fine(body)

    openai_server.respond = then_refuse
    ceilings = {Role.EXPERT: RateCeiling(requests_per_minute=600)}
    assert kinds(asyncio.run(ask_all(openai_server, ledger, TEXTS[:20], ceilings=ceilings))) == {"Answer": 20}


def test_a_question_that_a_batch_holds_ends_a_step_that_asks_directly(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    with ledger.engine.begin() as connection:
        identity = ModelIdentity("openai", "m", openai_server.base_url)
        key = request_key(identity, question(TEXTS[0], sampling=Sampling(max_tokens=100)))
        holder = batch_owner("b")
        connection.execute(sa.insert(schema.owners).values(owner=holder, lease_until=None))
        connection.execute(sa.insert(schema.claims).values(request_key=key, owner=holder))
    found = kinds(asyncio.run(ask_all(openai_server, ledger, TEXTS)))
    assert found == {"Answer": 49, "BatchesUnderWay": 1}


def test_roles_of_one_model_keep_their_own_connections(ledger: Ledger) -> None:
    with OpenAIServer() as server:

        async def both() -> None:
            models = {
                role: OpenAICompatibleModel("m", base_url=server.base_url, api_key=f"sk-{role.value}-0123456789")
                for role in (Role.EXPERT, Role.REVIEWER)
            }
            engine = Engine(models, ledger, CallContext("run-1", "asset"), load_prices())
            await engine.ask(question("one"))
            await engine.ask(question("two", role=Role.REVIEWER))
            await engine.close()
            for model in models.values():
                await model.close()

        asyncio.run(both())
        keys = [headers["Authorization"] for headers in server.headers]
    assert keys == ["Bearer sk-expert-0123456789", "Bearer sk-reviewer-0123456789"]
