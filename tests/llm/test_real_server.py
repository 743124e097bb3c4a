"""The engine and a real model behind llama.cpp's server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from resources.language_models.llama_server import LlamaServer
from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import Role, Sampling
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.pricing.prices import load_prices
from tests.support.questions import question

QUESTIONS = [question(f"Count to {number}.", sampling=Sampling(max_tokens=12)) for number in range(2, 10)]


@pytest.mark.slow
def test_a_server_that_is_killed_in_mid_run_is_asked_again_when_it_is_back(small_models: Path, ledger: Ledger) -> None:
    async def work(server: LlamaServer) -> list[str]:
        model = OpenAICompatibleModel("smollm2", base_url=server.url)
        engine = Engine({Role.EXPERT: model}, ledger, CallContext("run", "asset"), load_prices(), first_wait_s=0.5)
        try:
            asked = [asyncio.create_task(engine.ask(one)) for one in QUESTIONS]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            server.kill()
            await asyncio.to_thread(server.start)
            return [answer.completion.text for answer in await asyncio.gather(*asked)]
        finally:
            await engine.close()
            await model.close()

    with LlamaServer(small_models / "smollm2.gguf") as server:
        texts = asyncio.run(work(server))

    with ledger.engine.connect() as connection:
        answered, failed = connection.exec_driver_sql(
            "select count(distinct request_key), (select count(*) from attempts) - count(*) from answers"
        ).one()
    assert all(texts)
    assert answered == len(QUESTIONS)
    assert failed > 0
