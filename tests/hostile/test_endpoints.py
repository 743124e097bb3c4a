"""Whatever an endpoint makes of a model's text: what is kept is that text whole, and what is of no use ends early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resources.language_models.openai_compatible import OpenAICompatibleModel
from resources.language_models.readable import fault
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Answer, Outcome, Request, Role
from teams_dagster.evaluation.judging import judge_query
from teams_dagster.instructions.requests import guide_query, respond_query, review_query, rewrite_query
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.pricing.prices import load_prices
from tests.support import served_rules
from tests.support.odd_endpoints import ENDPOINTS, REFUSED, SPOILT, THINKING, WHOLE
from tests.support.openai_server import Body, Fault, OpenAIServer, Reply

pytestmark = pytest.mark.slow

KEY = "sk-planted-secret-123"
SOME, MANY, MOST_PAID = 4, 60, 25

QUERIES: dict[str, Callable[[Instruction], Request]] = {
    "rewrites of the expert": lambda text: rewrite_query(Role.EXPERT, Operation.CONCRETIZING, text),
    "guidance": lambda text: guide_query(text, [], 3, may_rest=True),
    "rewrites of the instructor": lambda text: rewrite_query(Role.INSTRUCTOR, Operation.DEEPENING, text),
    "verdicts": lambda text: review_query(text, Instruction(f"{text.text} Give three reasons with an example each.")),
    "answers": respond_query,
    "judgements": lambda text: judge_query(text, "The moon pulls the water.", "It is so."),
}
TEXTS = [Instruction(f"Explain how the tide rises in harbour {number}, and name its causes.") for number in range(MANY)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as opened:
        yield opened


class Asked:
    """What came of one kind of query at one endpoint; of more of them where none of a few could be used."""

    def __init__(self, endpoint: str, kind: str, ledger: Ledger) -> None:
        self.written: set[str] = set()
        """The texts that the model behind the endpoint wrote."""
        with OpenAIServer(lambda body: self._respond(endpoint, body)) as server:
            self.results = asyncio.run(self._ask(server, [QUERIES[kind](text) for text in TEXTS], ledger))
            self.requests = server.count
        answers = [result for result in self.results if isinstance(result, Answer)]
        self.kept = [a.completion.text for a in answers if a.completion.outcome is Outcome.USABLE]

    def _respond(self, endpoint: str, body: Body) -> Reply | Fault:
        said = served_rules.answer(body).strip()
        self.written.add(said)
        return ENDPOINTS[endpoint](body, said)

    async def _ask(self, server: OpenAIServer, queries: list[Request], ledger: Ledger) -> list[Any]:
        role = queries[0].role
        model = OpenAICompatibleModel("m", base_url=server.base_url, api_key=KEY)
        where = CallContext("run-1", "asset")
        engine = Engine({role: model}, ledger, where, load_prices(), first_wait_s=0.01, fault=fault)
        try:
            first = await self._all(engine, queries[:SOME])
            usable = [a for a in first if isinstance(a, Answer) and a.completion.outcome is Outcome.USABLE]
            return first if usable else first + await self._all(engine, queries[SOME:])
        finally:
            await engine.close()
            await model.close()

    @staticmethod
    async def _all(engine: Engine, queries: list[Request]) -> list[Any]:
        return await asyncio.gather(*map(engine.ask, queries), return_exceptions=True)


@pytest.mark.parametrize("endpoint", [*THINKING, *WHOLE])
@pytest.mark.parametrize("kind", QUERIES)
def test_what_is_kept_is_the_text_that_the_model_wrote(endpoint: str, kind: str, ledger: Ledger) -> None:
    asked = Asked(endpoint, kind, ledger)
    assert len(asked.kept) == SOME
    assert set(asked.kept) <= asked.written


@pytest.mark.parametrize("endpoint", [*SPOILT, *REFUSED])
@pytest.mark.parametrize("kind", ["rewrites of the instructor", "verdicts", "answers", "judgements"])
def test_what_is_of_no_use_is_not_kept_and_ends_early_with_the_setting_to_change(
    endpoint: str, kind: str, ledger: Ledger
) -> None:
    asked = Asked(endpoint, kind, ledger)
    assert asked.kept == []
    assert asked.requests <= MOST_PAID
    last = asked.results[-1]
    assert isinstance(last, Exception)
    (said,) = str(last).splitlines()
    assert f"TEAMS_{QUERIES[kind](TEXTS[0]).role.name}_" in said
    assert KEY not in said
