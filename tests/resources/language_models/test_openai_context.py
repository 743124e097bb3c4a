"""An endpoint with a small context, over real HTTP: found out by one refusal, and asked within it from then on."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.seeds import seed_instructions
from resources.language_models.openai_compatible import OpenAICompatibleModel
from resources.language_models.openai_dialect import CONTEXT, Dialect
from resources.language_models.openai_failures import read_failure
from resources.language_models.opening import go_on_from_traits
from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind, Message
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.traits import traits_of
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.facts.dataset import ResponseFacts
from tests.support import served_rules
from tests.support.openai_server import OpenAIServer
from tests.support.project import Project
from tests.support.questions import question
from tests.support.small_context import (
    ANTHROPIC,
    COHERE,
    FIREWORKS,
    GATEWAY,
    GOOGLE,
    LLAMA_CPP,
    LM_STUDIO,
    NO_CONTEXT,
    OLLAMA,
    OPENAI,
    PROMPT_TOO_LONG,
    REPLY_TOO_LONG,
    SGLANG,
    TGI,
    TOGETHER,
    VLLM,
    VLLM_AT_LEAST,
    VLLM_MAX_MODEL_LEN,
    prompt_tokens,
    with_context,
    worded,
)

SIZE = 2048
LONG = "word " * 3_000
WEEK = "2026-11-02"


class Asking:
    """One connection, asked until it answers or gives up; what it learns is kept."""

    def __init__(
        self, server: OpenAIServer, *, extra: dict[str, int] | None = None, traits: dict[str, str] | None = None
    ) -> None:
        self.learnt: dict[str, str] = {}
        self._model = OpenAICompatibleModel("m", base_url=server.base_url, extra=extra)
        self._model.dialect.keep(traits or {}, self.learnt.__setitem__, lambda trait, limit: self.keep(trait, limit))

    def keep(self, trait: str, limit: int) -> None:
        self.learnt[trait] = str(limit)

    def ask(self, *texts: str) -> list[Completion | CompletionError]:
        return asyncio.run(self._ask(texts))

    async def _ask(self, texts: tuple[str, ...]) -> list[Completion | CompletionError]:
        try:
            return [await self._one(text) for text in texts]
        finally:
            await self._model.close()

    async def _one(self, text: str) -> Completion | CompletionError:
        while True:
            try:
                return await self._model.complete(question(text))
            except CompletionError as error:
                if not error.adapted:
                    return error


@pytest.mark.parametrize("refusal", [OPENAI, VLLM, VLLM_MAX_MODEL_LEN, SGLANG, TGI, TOGETHER, GATEWAY, ANTHROPIC])
def test_the_first_refusal_bounds_replies_by_what_prompts_leave(openai_server: OpenAIServer, refusal: str):
    openai_server.respond = with_context(SIZE, refusal)
    asking = Asking(openai_server)
    answers = asking.ask("Say something.", "word " * 100, "word " * 1_000)
    assert all(isinstance(answer, Completion) for answer in answers)
    refused, *answered = openai_server.received
    assert refused["max_tokens"] == SIZE
    assert len(answered) == 3
    for body in answered:
        assert SIZE / 2 < prompt_tokens(body) + body["max_tokens"] <= SIZE
    assert asking.learnt == {CONTEXT: str(SIZE)}


def test_a_context_that_is_known_is_never_exceeded(openai_server: OpenAIServer):
    openai_server.respond = with_context(SIZE, OPENAI)
    Asking(openai_server, traits={CONTEXT: str(SIZE)}).ask("Say something.", "word " * 100)
    assert openai_server.count == 2


@pytest.mark.parametrize(
    ("refusal", "counts_reply"),
    [
        *[(OPENAI, True), (VLLM, True), (LLAMA_CPP, False), (OLLAMA, False), (LM_STUDIO, False)],
        *[(FIREWORKS, False), (GOOGLE, False), (COHERE, False)],
    ],
)
def test_a_prompt_that_does_not_fit_is_refused_by_name_and_the_next_one_is_not_sent(
    openai_server: OpenAIServer, refusal: str, counts_reply: bool
):
    openai_server.respond = with_context(SIZE, refusal, counts_reply=counts_reply)
    first, second, short = Asking(openai_server).ask(LONG, LONG + "!", "Say something.")
    assert isinstance(first, CompletionError)
    assert isinstance(second, CompletionError)
    assert first.kind is second.kind is ErrorKind.TOO_LONG
    assert (first.http_status, second.http_status) == (400, None)
    assert "the prompt takes about" in second.detail
    assert "--max-model-len" in second.detail
    assert "the role's _BASE_URL" in second.detail
    assert "delete its context_tokens from the ledger's table endpoint_traits" in second.detail
    assert isinstance(short, Completion)
    assert openai_server.count == 2


class Refused:
    """One refusal of a prompt and the 2,048 tokens of its reply, and what it teaches; no server is asked."""

    def __init__(self, prompt: str, body: dict[str, Any], status: int = 400) -> None:
        self.learnt: dict[str, int] = {}
        self._dialect = Dialect("http://127.0.0.1:1/v1")
        self._dialect.keep({}, lambda trait, value: None, self.learnt.__setitem__)
        self._messages = (Message("system", "Be brief."), Message("user", prompt))
        error = read_failure(json.dumps(body).encode(), status)
        self.failure = self._dialect.adapted(error, self.next_body)

    @property
    def next_body(self) -> dict[str, Any]:
        return self._dialect.written(self._messages, SIZE)


def refused(prompt: str, wording: str) -> Refused:
    tokens = prompt_tokens({"messages": [{"content": "Be brief."}, {"content": prompt}]})
    return Refused(prompt, {"error": {"message": worded(wording, SIZE, tokens, SIZE)}})


@pytest.mark.parametrize("provider", REPLY_TOO_LONG)
def test_however_a_provider_says_that_a_reply_has_no_room_it_is_bounded(provider: str):
    for text in ("Say something.", "word " * 400):
        said = refused(text, REPLY_TOO_LONG[provider])
        assert said.failure.adapted
        assert said.learnt == {CONTEXT: 2_000 if provider == "thousands" else SIZE}
        assert SIZE / 2 < prompt_tokens(said.next_body) + said.next_body["max_tokens"] <= SIZE


@pytest.mark.parametrize("provider", PROMPT_TOO_LONG)
def test_however_a_provider_says_that_a_prompt_is_too_long_it_is_one(provider: str):
    said = refused(LONG, PROMPT_TOO_LONG[provider])
    assert said.failure.kind is ErrorKind.TOO_LONG
    known = said.learnt[CONTEXT]
    assert known == SIZE or (provider == "Ollama" and abs(known - SIZE) < SIZE / 2), "Ollama does not say it"


def test_a_context_in_a_field_of_its_own_is_learnt():
    body = {"message": "the request exceeds the available context size", "type": "exceed_context_size_error"}
    said = Refused(LONG, {"error": {**body, "n_prompt_tokens": 4_001, "n_ctx": SIZE}})
    assert said.learnt == {CONTEXT: SIZE}
    assert said.failure.kind is ErrorKind.TOO_LONG


@pytest.mark.parametrize("said", NO_CONTEXT)
def test_a_refusal_that_names_no_context_teaches_none(said: str):
    for status in (400, 413, 422):
        teaches = Refused("Say something.", {"error": {"message": said}}, status)
        assert teaches.learnt == {}
        assert not teaches.failure.adapted


@pytest.mark.parametrize("said", ["Rate limit reached: your context limit of 1000 tokens", "Limit 1000 tokens"])
def test_a_limit_on_tokens_of_a_minute_is_no_context(said: str):
    assert Refused("Say something.", {"error": {"message": said}}, 429).learnt == {}


@pytest.mark.parametrize("refusal", [VLLM_AT_LEAST, "This model's maximum context length is {context} tokens."])
@pytest.mark.parametrize("words", [30, 700])
def test_a_prompt_that_takes_many_more_tokens_than_it_seems_costs_few_refusals(
    openai_server: OpenAIServer, refusal: str, words: int
):
    openai_server.respond = with_context(SIZE, refusal)
    unusual = "ꙮꙮ " * words  # six bytes and a space
    [answer] = Asking(openai_server).ask(unusual)
    assert openai_server.count <= 10
    fits = prompt_tokens(openai_server.received[0]) + 16 <= SIZE
    assert isinstance(answer, Completion) == fits


def test_of_several_limits_in_a_refusal_the_smallest_is_learnt(openai_server: OpenAIServer):
    said = "maximum context length is 8192 tokens, and prompt and reply must be less than max_seq_len ({context})"
    openai_server.respond = with_context(SIZE, said)
    asking = Asking(openai_server)
    asking.ask("Say something.")
    assert asking.learnt == {CONTEXT: str(SIZE)}


def test_a_smaller_context_that_is_learnt_later_is_the_one_that_other_processes_know(
    openai_server: OpenAIServer, tmp_path: Path
):
    openai_server.respond = with_context(SIZE, OPENAI)
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as ledger:
        for context in (SIZE, SIZE // 2):
            openai_server.respond = with_context(context, OPENAI)
            model = OpenAICompatibleModel("m", base_url=openai_server.base_url)
            go_on_from_traits(ledger, [model])
            asyncio.run(asked_until_answered(model))
        assert traits_of(ledger.engine, model.identity)[CONTEXT] == str(SIZE // 2)


async def asked_until_answered(model: OpenAICompatibleModel) -> None:
    try:
        for _ in range(2):
            with suppress(CompletionError):
                await model.complete(question("Say something."))
    finally:
        await model.close()


def test_a_refusal_that_names_no_size_teaches_nothing(openai_server: OpenAIServer):
    openai_server.respond = with_context(SIZE, "the input length exceeds the context length")
    asking = Asking(openai_server)
    [refused] = asking.ask(LONG)
    assert isinstance(refused, CompletionError)
    assert refused.kind is ErrorKind.REJECTED
    assert asking.learnt == {}


def test_a_limit_that_settings_add_to_every_request_is_not_adapted(openai_server: OpenAIServer):
    openai_server.respond = with_context(SIZE, OPENAI)
    [refused] = Asking(openai_server, extra={"max_tokens": SIZE}).ask("Say something.")
    assert isinstance(refused, CompletionError)
    assert openai_server.count == 1


@pytest.mark.slow
def test_a_project_goes_through_with_a_small_context_that_is_found_out_once(
    openai_server: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    openai_server.respond = with_context(SIZE, VLLM, served_rules.answer)
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TEAMS_EXPERT_MODEL", "small")
    monkeypatch.setenv("TEAMS_EXPERT_BASE_URL", openai_server.base_url)
    monkeypatch.setenv("TEAMS_EXPERT_STRUCTURED", "off")
    for role in ("REVIEWER", "INSTRUCTOR", "JUDGE", "GUIDE"):
        monkeypatch.setenv(f"TEAMS_{role}_PROVIDER", "offline")
    project = Project(tmp_path)
    assert project.make(seed_instructions)
    assert project.make(generated_instructions, week=WEEK, generated_instructions={"seeds": 12, "policy": "uniform"})
    before_answers = openai_server.count
    assert project.make(expert_responses, week=WEEK)
    refused = [body for body in openai_server.received if prompt_tokens(body) + body["max_tokens"] > SIZE]
    facts = project.store.current("expert_responses", WEEK).read_facts(ResponseFacts)
    assert facts.kept > 0
    assert facts.unanswered == 0
    assert len(refused) <= 8, "only what was under way when the first refusal came"
    assert openai_server.count - before_answers <= facts.samples + 8
    with project.ledger.open() as ledger:
        assert traits_of(ledger.engine, project.models.identities(question().role)[question().role])[CONTEXT] == "2048"
