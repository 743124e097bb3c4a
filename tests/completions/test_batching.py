"""Questions through a provider's batch endpoint: over real HTTP, on a real ledger, across runs and failures."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from resources.language_models.openai_batches import OpenAIBatches
from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.completions.batching import BatchesUnderWay, BatchPace, BatchRefused
from teams_dagster.completions.engine import CallContext, Engine
from teams_dagster.completions.protocol import Answer, Role, Sampling
from teams_dagster.ledger import batches, schema
from teams_dagster.ledger.budgets import Budget, Budgets, recount
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.prices import load_prices
from teams_dagster.ledger.writer import Ledger
from tests.support.openai_batches import BatchFault, OpenAIBatchServer
from tests.support.openai_server import Fault, Reply
from tests.support.questions import question

PRICED = """
[[price]]
provider = "openai"
base_url = "*"
model = "m"
input = 100
output = 1000
batch_share = 0.5
"""

TEXTS = [f"question {i}" for i in range(12)]

SOON = BatchPace(wait_s=20, poll_s=0.02)
NOT_WAITING = BatchPace(wait_s=0, poll_s=0.02)


@pytest.fixture
def server() -> Iterator[OpenAIBatchServer]:
    with OpenAIBatchServer(lambda body: Reply("fine", prompt_tokens=20, completion_tokens=10)) as served:
        yield served


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(PRICED)
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("teams_dagster.completions.batching.QUIET_S", 0.1)


async def ask_all(
    server: OpenAIBatchServer,
    ledger: Ledger,
    texts: Sequence[str] = TEXTS,
    *,
    pace: BatchPace = SOON,
    run_id: str = "run-1",
    prices: Path | None = None,
    follow_up: bool = False,
    broken: bool = False,
    **options: Any,
) -> list[Any]:
    """What came of asking each text through a batch; with `follow_up`, of the question that its answer leads to."""
    model = OpenAICompatibleModel("m", base_url=server.base_url)
    endpoint = OpenAIBatches(model)
    if broken:

        async def submit(*_: object) -> str:
            raise RuntimeError("killed")

        endpoint.submit = submit
    engine = Engine(
        {Role.EXPERT: model},
        ledger,
        CallContext(run_id, "asset"),
        load_prices(prices),
        batches={Role.EXPERT: endpoint},
        batch_pace=pace,
        first_wait_s=0.01,
        **options,
    )

    async def one(text: str) -> Answer:
        answer = await engine.ask(question(text, sampling=Sampling(max_tokens=100)), transition_id=text)
        if not follow_up:
            return answer
        return await engine.ask(question(f"after {text}: {answer.completion.text}"), transition_id=f"after {text}")

    try:
        return await asyncio.gather(*[one(text) for text in texts], return_exceptions=True)
    finally:
        await engine.close()
        await endpoint.close()


def run(*arguments: Any, **options: Any) -> Counter[str]:
    return Counter(type(result).__name__ for result in asyncio.run(ask_all(*arguments, **options)))


def asked(server: OpenAIBatchServer) -> Counter[str]:
    """How often the server was asked each text, by any way."""
    return Counter(body["messages"][-1]["content"] for body in server.received)


def nothing_is_left_open(ledger: Ledger) -> bool:
    with ledger.engine.connect() as connection:
        assert connection.execute(sa.select(schema.claims)).all() == []
        assert ledger.spent() == recount(connection)
    assert batches.open_batches(ledger) == []
    return True


def test_questions_are_answered_together_at_the_price_of_a_batch(
    server: OpenAIBatchServer, ledger: Ledger, prices: Path
) -> None:
    server.ends_after_polls = 2
    assert run(server, ledger, prices=prices) == {"Answer": 12}
    assert len(server.batches) == 1
    assert set(asked(server).values()) == {1}
    with ledger.engine.connect() as connection:
        costs = connection.exec_driver_sql(
            "select distinct cost_nano_usd, batch_id is not null from results join attempts using (request_id)"
        ).all()
        uses = connection.exec_driver_sql("select count(*), sum(reused) from uses").all()
    assert [tuple(row) for row in costs] == [((20 * 100 + 10 * 1000) // 2, 1)]
    assert [tuple(row) for row in uses] == [(12, 0)]
    assert nothing_is_left_open(ledger)


def test_what_follows_from_answers_is_the_next_batch(server: OpenAIBatchServer, ledger: Ledger) -> None:
    server.ends_after_polls = 1
    assert run(server, ledger, follow_up=True) == {"Answer": 12}
    assert len(server.batches) == 2
    assert set(asked(server).values()) == {1}


def test_a_step_that_does_not_wait_ends_and_goes_on_when_it_is_run_again(
    server: OpenAIBatchServer, ledger: Ledger
) -> None:
    assert run(server, ledger, pace=NOT_WAITING, follow_up=True) == {"BatchesUnderWay": 12}
    assert run(server, ledger, pace=NOT_WAITING, follow_up=True, run_id="run-2") == {"BatchesUnderWay": 12}
    assert len(server.batches) == 1
    assert [batch.owner for batch in batches.unattended(ledger)] == [None]
    server.finish()
    assert run(server, ledger, pace=NOT_WAITING, follow_up=True, run_id="run-3") == {"BatchesUnderWay": 12}
    server.finish()
    assert run(server, ledger, pace=NOT_WAITING, follow_up=True, run_id="run-4") == {"Answer": 12}
    assert len(server.batches) == 2
    assert set(asked(server).values()) == {1}
    assert nothing_is_left_open(ledger)


def test_the_message_says_who_goes_on(server: OpenAIBatchServer, ledger: Ledger) -> None:
    [failure, *_] = asyncio.run(ask_all(server, ledger, pace=NOT_WAITING))
    assert isinstance(failure, BatchesUnderWay)
    assert "12 questions" in str(failure)
    assert "collect_batches" in str(failure)


def test_a_batch_whose_id_was_never_written_down_is_found_again(
    server: OpenAIBatchServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(batches, "submitted", killed)
        assert run(server, ledger) == {"RuntimeError": 12}
    server.ends_after_polls = 1
    assert run(server, ledger, run_id="run-2") == {"Answer": 12}
    assert len(server.batches) == 1
    assert set(asked(server).values()) == {1}
    assert nothing_is_left_open(ledger)


def test_a_batch_that_was_never_handed_in_is_asked_anew(server: OpenAIBatchServer, ledger: Ledger) -> None:
    assert run(server, ledger, broken=True) == {"RuntimeError": 12}
    assert server.batches == {}
    server.ends_after_polls = 1
    assert run(server, ledger, run_id="run-2") == {"Answer": 12}
    assert set(asked(server).values()) == {1}
    with ledger.engine.connect() as connection:
        kinds = connection.exec_driver_sql("select error_kind, count(*) from results group by 1 order by 1").all()
    assert [tuple(row) for row in kinds] == [(None, 12), ("unreachable", 12)]
    assert nothing_is_left_open(ledger)


def test_what_a_batch_did_not_reach_in_time_is_in_the_next(server: OpenAIBatchServer, ledger: Ledger) -> None:
    assert run(server, ledger, pace=NOT_WAITING) == {"BatchesUnderWay": 12}
    server.expire(executed=5)
    assert run(server, ledger, pace=NOT_WAITING, run_id="run-2") == {"BatchesUnderWay": 7, "Answer": 5}
    server.finish()
    assert run(server, ledger, run_id="run-3") == {"Answer": 12}
    assert sum(server.executed.values()) == 12
    assert nothing_is_left_open(ledger)


def test_a_question_that_a_batch_cannot_answer_is_asked_directly(server: OpenAIBatchServer, ledger: Ledger) -> None:
    assert run(server, ledger, pace=NOT_WAITING) == {"BatchesUnderWay": 12}
    with ledger.engine.connect() as connection:
        [request_id, *_] = connection.execute(sa.select(schema.attempts.c.request_id)).scalars()
    server.line_faults[request_id] = Fault(status=400)
    server.finish()
    server.ends_after_polls = 1
    assert run(server, ledger, run_id="run-2") == {"Answer": 12}
    assert len(server.batches) == 1
    assert server.count == 13
    assert nothing_is_left_open(ledger)


def test_no_more_is_handed_in_than_a_budget_allows(server: OpenAIBatchServer, ledger: Ledger) -> None:
    server.ends_after_polls = 1
    found = run(server, ledger, budgets=Budgets(Budget(queries=8)))
    assert found == {"Answer": 8, "BudgetExhausted": 4}
    assert sum(asked(server).values()) == 8
    assert run(server, ledger, run_id="run-2", budgets=Budgets(Budget(queries=12))) == {"Answer": 12}
    assert set(asked(server).values()) == {1}
    assert nothing_is_left_open(ledger)


def test_a_provider_that_is_away_or_refuses_a_batch_is_quoted(server: OpenAIBatchServer, ledger: Ledger) -> None:
    server.batch_faults.extend([BatchFault("GET", "/batches/", Fault(status=503))] * 9)
    [failure, *_] = asyncio.run(ask_all(server, ledger, pace=NOT_WAITING))
    assert isinstance(failure, BatchRefused)
    assert "503" in str(failure)
    server.batch_faults.clear()
    server.refuse({"code": "model_not_found", "message": "model m has no batch endpoint"})
    [failure, *_] = asyncio.run(ask_all(server, ledger, run_id="run-2"))
    assert isinstance(failure, BatchRefused)
    assert "no batch endpoint" in str(failure)
    assert nothing_is_left_open(ledger)


def test_two_runs_at_once_hand_in_each_question_once(server: OpenAIBatchServer, ledger: Ledger, tmp_path: Path) -> None:
    server.ends_after_polls = 3
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as other:

        async def both() -> list[Any]:
            runs = [ask_all(server, ours, run_id=f"run {n}") for n, ours in enumerate((ledger, other))]
            return [result for found in await asyncio.gather(*runs) for result in found]

        results = asyncio.run(both())
    assert Counter(type(result).__name__ for result in results) == {"Answer": 24}
    assert set(asked(server).values()) == {1}
    assert nothing_is_left_open(ledger)
