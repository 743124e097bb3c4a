"""The OpenAI-compatible connection, against a real HTTP server."""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.completions.protocol import (
    Completion,
    CompletionError,
    ErrorKind,
    Outcome,
    Request,
    Sampling,
    Usage,
)
from tests.support.openai_server import Fault, OpenAIServer, Reply
from tests.support.questions import question

KEY = "sk-secret-0123456789"


def ask(server: OpenAIServer | str, request: Request | None = None, **options: Any) -> Completion:
    base_url = server if isinstance(server, str) else server.base_url

    async def once() -> Completion:
        model = OpenAICompatibleModel("some-model", base_url=base_url, api_key=KEY, **options)
        try:
            return await model.complete(request or question())
        finally:
            await model.close()

    return asyncio.run(once())


def test_sends_the_messages_the_sampling_and_the_replica_as_seed(openai_server: OpenAIServer) -> None:
    ask(openai_server, question(sampling=Sampling(0.3, 0.9, 77), replica=4))
    assert openai_server.received == [
        {
            "model": "some-model",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Say something."},
            ],
            "temperature": 0.3,
            "top_p": 0.9,
            "max_tokens": 77,
            "seed": 4,
        }
    ]
    assert openai_server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_reads_text_and_usage(openai_server: OpenAIServer) -> None:
    openai_server.respond = lambda body: Reply("Hello.", prompt_tokens=12, cached_tokens=8, completion_tokens=3)
    assert ask(openai_server) == Completion("Hello.", "stop", Outcome.USABLE, Usage(12, 8, 3))


def test_what_the_server_does_not_report_stays_unknown(openai_server: OpenAIServer) -> None:
    openai_server.respond = lambda body: Reply("Hello.", prompt_tokens=None)
    assert ask(openai_server).usage == Usage(None, None, None)
    openai_server.respond = lambda body: Reply("Hello.", cached_tokens=None)
    assert ask(openai_server).usage == Usage(10, None, 5)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(" \n"), Outcome.EMPTY),
        (Reply(None), Outcome.EMPTY),
        (Reply("Once upon a", finish_reason="length"), Outcome.TRUNCATED),
        (Reply(None, refusal="I will not."), Outcome.REFUSAL),
        (Reply("", finish_reason="content_filter"), Outcome.REFUSAL),
        (Reply("a\x00b"), Outcome.MALFORMED),
    ],
)
def test_a_billed_completion_has_the_outcome_it_turned_out_to_be(
    openai_server: OpenAIServer, reply: Reply, outcome: Outcome
) -> None:
    openai_server.respond = lambda body: reply
    assert ask(openai_server).outcome is outcome


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        (Fault(status=500), ErrorKind.SERVER, 500),
        (Fault(status=503, body="<html>busy</html>", content_type="text/html"), ErrorKind.SERVER, 503),
        (Fault(status=429), ErrorKind.RATE_LIMITED, 429),
        (Fault(status=429, body='{"error": {"code": "insufficient_quota"}}'), ErrorKind.REJECTED, 429),
        (Fault(status=401), ErrorKind.REJECTED, 401),
        (Fault(status=404), ErrorKind.REJECTED, 404),
        (Fault(status=408), ErrorKind.TIMEOUT, 408),
        (Fault(status=200, body="<html>hello</html>", content_type="text/html"), ErrorKind.BAD_REPLY, 200),
        (Fault(status=200, body='{"choices": []}'), ErrorKind.BAD_REPLY, 200),
        (Fault(status=200, body='{"choices": [{"mess'), ErrorKind.BAD_REPLY, 200),
        (Fault(status=200, body="null"), ErrorKind.BAD_REPLY, 200),
        (Fault(disconnect=True), ErrorKind.CONNECTION, None),
        (Fault(hang_s=5), ErrorKind.TIMEOUT, None),
        (Fault(status=200, headers={"Content-Encoding": "gzip"}), ErrorKind.BAD_REPLY, None),
    ],
)
def test_each_way_to_fail_has_its_kind_and_is_one_request(
    openai_server: OpenAIServer, fault: Fault, kind: ErrorKind, status: int | None
) -> None:
    openai_server.faults.append(fault)
    with pytest.raises(CompletionError) as failure:
        ask(openai_server, timeout_s=1.0)
    assert (failure.value.kind, failure.value.http_status) == (kind, status)
    assert failure.value.reached_server
    assert openai_server.count == 1


def test_a_refused_connection_never_reached_the_server() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(CompletionError) as failure:
        ask(f"http://127.0.0.1:{port}/v1")
    assert failure.value.kind is ErrorKind.CONNECTION
    assert not failure.value.reached_server


def test_a_connection_that_is_never_accepted_never_reached_the_server() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(8)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(address)
        with pytest.raises(CompletionError) as failure:
            ask(f"http://127.0.0.1:{address[1]}/v1", connect_timeout_s=0.3)
        for client in waiting:
            client.close()
    assert not failure.value.reached_server


def test_a_redirect_is_not_followed(openai_server: OpenAIServer) -> None:
    openai_server.faults.append(Fault(status=307, headers={"Location": "/v1/chat/completions"}))
    with pytest.raises(CompletionError, match="correct the base URL") as failure:
        ask(openai_server)
    assert failure.value.kind is ErrorKind.REJECTED
    assert openai_server.count == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(
    openai_server: OpenAIServer, headers: dict[str, str], seconds: float | None
) -> None:
    openai_server.faults.append(Fault(status=429, headers=headers))
    with pytest.raises(CompletionError) as failure:
        ask(openai_server)
    assert failure.value.retry_after == seconds


@pytest.mark.parametrize(
    "show", [repr, str, lambda error: "".join(traceback.format_exception(error)), lambda error: error.detail]
)
def test_the_key_is_never_shown(openai_server: OpenAIServer, show: Callable[[Any], str]) -> None:
    said = f'{{"error": {{"message": "Incorrect API key provided: {KEY}"}}}}'
    openai_server.faults.append(Fault(status=401, body=said))
    model = OpenAICompatibleModel("m", base_url=openai_server.base_url, api_key=KEY)
    assert KEY not in repr(model)
    with pytest.raises(CompletionError) as failure:
        ask(openai_server)
    assert "Incorrect API key" in failure.value.detail
    assert KEY not in show(failure.value)


@pytest.mark.parametrize("url", ["https://me:pw@host/v1", "https://host/v1?api-key=x"])
def test_a_base_url_with_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="_API_KEY"):
        OpenAICompatibleModel("m", base_url=url)


def test_no_key_configured_never_means_the_key_of_another_service(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = OpenAICompatibleModel("m", base_url=openai_server.base_url)
    asyncio.run(model.complete(question()))
    assert KEY not in openai_server.headers[0]["Authorization"]


def test_one_model_serves_several_event_loops(openai_server: OpenAIServer) -> None:
    model = OpenAICompatibleModel("m", base_url=openai_server.base_url)
    assert asyncio.run(model.complete(question())) == asyncio.run(model.complete(question()))


def test_two_hundred_requests_are_in_flight_together() -> None:
    with OpenAIServer(latency_s=0.5) as server:
        model = OpenAICompatibleModel("m", base_url=server.base_url)

        async def many() -> list[Completion]:
            return await asyncio.gather(*[model.complete(question(str(i))) for i in range(200)])

        answers = asyncio.run(many())
    assert len({answer.text for answer in answers}) == 200
    assert server.most_in_flight == 200
