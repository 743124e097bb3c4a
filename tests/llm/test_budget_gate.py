"""Questions that a budget has no room for wait for calls that may cost less than they could, and never for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path

from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import Answer, Role, Sampling
from teams_dagster.ledger.budgets import Budget, BudgetExhausted, Budgets
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.pricing.prices import load_prices
from tests.support.openai_server import OpenAIServer
from tests.support.processes import until
from tests.support.questions import question


async def ask(server: OpenAIServer, ledger: Ledger, run_id: str, budget: Budget, *texts: str) -> list[object]:
    """What an engine of its own has for each of `texts`, asked at once: an answer, or why not."""
    model = OpenAICompatibleModel("m", base_url=server.base_url)
    context, prices = CallContext(run_id, "asset"), load_prices()
    engine = Engine({Role.EXPERT: model}, ledger, context, prices, budgets=Budgets(project=budget))
    asks = [engine.ask(question(text, sampling=Sampling(max_tokens=16))) for text in texts]
    try:
        return await asyncio.wait_for(asyncio.gather(*asks, return_exceptions=True), 20)
    finally:
        await engine.close()
        await model.close()


def kinds(found: list[object]) -> list[type]:
    return [type(item) for item in found]


def test_a_question_without_room_is_asked_once_a_call_has_cost_less_than_it_could(tmp_path: Path) -> None:
    """One call reserves more than half of what three do cost."""
    with OpenAIServer(latency_s=0.05) as server, Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as ledger:
        found = asyncio.run(ask(server, ledger, "run-1", Budget(tokens=130), "a", "b", "c"))
    assert kinds(found) == [Answer] * 3
    assert server.most_in_flight == 1


def test_a_question_that_was_waiting_for_room_and_found_its_answer_lets_the_next_one_try(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "ledger.sqlite")

    async def both(ours: Ledger, theirs: Ledger) -> list[object]:
        bounded = asyncio.create_task(ask(server, ours, "run-1", Budget(queries=1), "a", "b", "c"))
        await asyncio.to_thread(until, lambda: server.count == 1)
        await asyncio.sleep(0.2)  # b and c have met the budget by now
        server.latency_s = 0.0
        await ask(server, theirs, "run-2", Budget(), "b")
        return await bounded

    with OpenAIServer(latency_s=2.0) as server, Ledger(url) as ours, Ledger(url) as theirs:
        found = asyncio.run(both(ours, theirs))
    assert kinds(found) == [Answer, Answer, BudgetExhausted]
    assert server.count == 2
