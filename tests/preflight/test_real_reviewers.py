"""Real weights that review: held to the two verdicts, each reply is one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from resources.language_models.embedding.reviewer import EmbeddingReviewer
from resources.language_models.llama_server import LlamaServer
from resources.language_models.local_transformers import LocalTransformersModel
from resources.language_models.openai_compatible import OpenAICompatibleModel
from resources.language_models.probing import WAYS, Held, find_out
from teams_dagster.core.protocol import Answer, LanguageModel, Role
from teams_dagster.core.replies import Way
from teams_dagster.instructions.requests import review_query
from teams_dagster.instructions.review import Verdict, parse_verdict
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.preflight.labelled_pairs import review_pairs
from teams_dagster.preflight.plan import FULL, QUICK, Size, planned
from teams_dagster.preflight.record import RoleRecord
from teams_dagster.preflight.trying import try_role
from teams_dagster.pricing.prices import load_prices
from teams_dagster.weights import MINILM, SMOLLM2

PAIRS = review_pairs()[:2]


@asynccontextmanager
async def asking(model: LanguageModel, ledger: Ledger) -> AsyncIterator[Engine]:
    engine = Engine({Role.REVIEWER: model}, ledger, CallContext("run", "asset"), load_prices())
    try:
        yield engine
    finally:
        await engine.close()
        await model.close()


def reviewed(model: LanguageModel, ledger: Ledger) -> list[Answer]:
    async def every() -> list[Answer]:
        async with asking(model, ledger) as engine:
            return await asyncio.gather(*[engine.ask(review_query(pair.before, pair.after)) for pair in PAIRS])

    return asyncio.run(every())


def tried(model: LanguageModel, ledger: Ledger, size: Size) -> RoleRecord:
    """What a preflight of this size says of the reviewer."""

    async def trying() -> RoleRecord:
        async with asking(model, ledger) as engine:
            return await try_role(engine, planned(Role.REVIEWER, model.identity, [], size), most=4, priced=False)

    return asyncio.run(trying())


def behind(server: LlamaServer, held: Held) -> OpenAICompatibleModel:
    return OpenAICompatibleModel(SMOLLM2, base_url=server.url, structured=held.structured, logprobs=held.logprobs)


def readable(answers: list[Answer]) -> bool:
    return Verdict.UNCLEAR not in [parse_verdict(answer.completion.text) for answer in answers]


def probable(answers: list[Answer]) -> bool:
    """Whether each answer says how likely each verdict was."""
    shares = [answer.completion.probabilities for answer in answers]
    return all(share is not None and sum(share.values()) == pytest.approx(1.0) for share in shares)


def test_every_verdict_of_a_server_held_by_a_json_schema_is_readable(smollm2_server: LlamaServer, ledger: Ledger):
    assert readable(reviewed(behind(smollm2_server, Held(Way.JSON_SCHEMA, logprobs=True)), ledger))


def test_every_verdict_of_a_server_held_by_a_grammar_is_readable_and_probable(
    smollm2_server: LlamaServer, ledger: Ledger
):
    answers = reviewed(behind(smollm2_server, Held(Way.GRAMMAR, logprobs=True)), ledger)
    assert readable(answers)
    assert probable(answers)


@pytest.mark.slow
def test_every_verdict_of_local_weights_is_readable_and_probable(small_models: Path, ledger: Ledger):
    answers = reviewed(LocalTransformersModel(str(small_models / SMOLLM2), structured=Way.LOGPROBS), ledger)
    assert readable(answers)
    assert probable(answers)


def test_what_llama_cpp_honours_is_found_out(smollm2_server: LlamaServer, ledger: Ledger):
    found = asyncio.run(find_out(lambda held: asking(behind(smollm2_server, held), ledger), Role.REVIEWER, WAYS))
    assert found == Held(Way.JSON_SCHEMA, logprobs=True)


@pytest.mark.slow
def test_a_preflight_tells_a_reviewer_of_some_use_from_one_that_always_says_the_same(
    smollm2_server: LlamaServer, small_models: Path, ledger: Ledger
):
    of_use = tried(EmbeddingReviewer(str(small_models / MINILM)), ledger, replace(FULL, turned=4))
    of_none = tried(
        behind(smollm2_server, Held(Way.GRAMMAR, logprobs=True)), ledger, replace(QUICK, review_pairs=8, turned=2)
    )
    assert of_use.failures == ()
    (sentence,) = of_none.failures
    assert f"the reviewer {of_none.model} has a balanced accuracy of 0.5" in sentence
    assert "nothing is trained on its verdicts" in sentence
