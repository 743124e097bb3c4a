"""A ledger, and a role tried behind a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import Role
from teams_dagster.instructions.seeds import load_seeds
from teams_dagster.instructions.stored_seeds import seed_sources
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.preflight.plan import FULL, Planned, Size, planned
from teams_dagster.preflight.record import RoleRecord
from teams_dagster.preflight.trying import try_role
from teams_dagster.pricing.prices import load_prices
from tests.support.openai_server import OpenAIServer

Try = Callable[..., RoleRecord]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def tried(openai_server: OpenAIServer, ledger: Ledger) -> Try:
    """Tries a role, and the reviewer of its rewrites, at the server."""

    def trying(role: Role, size: Size = FULL, base_url: str = "") -> RoleRecord:
        async def steps() -> RoleRecord:
            model = OpenAICompatibleModel("m", base_url=base_url or openai_server.base_url)
            models = dict.fromkeys((role, Role.REVIEWER), model)
            engine = Engine(models, ledger, CallContext("run-1", "preflight"), load_prices(), first_wait_s=0.01)
            try:
                return await try_role(engine, plan_of(role, model, size), most=8, priced=False)
            finally:
                await engine.close()
                await model.close()

        return asyncio.run(steps())

    return trying


def plan_of(role: Role, model: OpenAICompatibleModel, size: Size) -> Planned:
    path, _ = seed_sources(None, ())
    return planned(role, model.identity, [seed.instruction for seed in load_seeds(path).seeds], size)
