"""The OpenAI-compatible connection, against a real HTTP server."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import traceback
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest
import uvloop

from resources.language_models.openai_compatible import MAX_BODY_BYTES, OpenAICompatibleModel
from teams_dagster.core.protocol import (
    Completion,
    CompletionError,
    ErrorKind,
    Outcome,
    RateLimitHeaders,
    Request,
    Sampling,
    Usage,
)
from tests.support.openai_server import Fault, OpenAIServer, Reply, echo
from tests.support.questions import question

KEY = "sk-secret-0123456789"


def ask(server: OpenAIServer | str, request: Request | None = None, key: str = KEY, **options: Any) -> Completion:
    base_url = server if isinstance(server, str) else server.base_url

    async def once() -> Completion:
        model = OpenAICompatibleModel("some-model", base_url=base_url, api_key=key, **options)
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


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_what_is_asked_of_this_machine_goes_through_no_proxy(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with OpenAIServer() as proxy:
        monkeypatch.setenv(variable, proxy.base_url.removesuffix("/v1"))
        ask(openai_server)
        assert proxy.headers == []
    assert openai_server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_a_question_is_the_request_that_the_client_would_send(openai_server: OpenAIServer) -> None:
    async def both_ways() -> None:
        model = OpenAICompatibleModel("some-model", base_url=openai_server.base_url, api_key=KEY)
        asked = question("Schön, nicht?")
        await model.complete(asked)
        await model.client().post("/chat/completions", cast_to=httpx2.Response, body=model.parameters(asked))
        await model.close()

    asyncio.run(both_ways())
    assert openai_server.received[0] == openai_server.received[1]
    ours, theirs = openai_server.headers
    retries = {"x-stainless-retry-count", "x-stainless-read-timeout"}  # statistics of the client's own
    assert ours == {name: value for name, value in theirs.items() if name not in retries}


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


def body_with(message: dict[str, Any], finish_reason: str | None = "stop", **more: Any) -> Fault:
    """A chat completion whose message holds `message`."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason, **more}
    return Fault(status=200, body=json.dumps({"choices": [choice]}))


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": "Green.", "reasoning_content": "Hm."}, "Green.", "Hm."),
        ({"content": "Green.", "reasoning": "Hm."}, "Green.", "Hm."),
        ({"content": "<think>Hm.</think>Green."}, "Green.", "Hm."),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                    {"type": "text", "text": "Green."},
                ]
            },
            "Green.",
            "Hm.",
        ),
        ({"content": [{"type": "output_text", "text": "Green."}]}, "Green.", None),
        ({"content": ["Gre", "en."]}, "Green.", None),
        ({"content": {"type": "text", "text": "Green."}}, "Green.", None),
    ],
)
def test_an_answer_is_read_from_every_form_that_servers_give_it(
    openai_server: OpenAIServer, message: dict[str, Any], text: str, reasoning: str | None
) -> None:
    openai_server.faults.append(body_with(message))
    said = ask(openai_server)
    assert (said.text, said.reasoning, said.outcome) == (text, reasoning, Outcome.USABLE)


@pytest.mark.parametrize("message", [{"content": None, "reasoning_content": "Hm."}, {"reasoning": "Hm."}])
def test_what_a_server_calls_reasoning_is_never_the_answer(
    openai_server: OpenAIServer, message: dict[str, Any]
) -> None:
    openai_server.faults.append(body_with(message))
    said = ask(openai_server)
    assert (said.text, said.reasoning, said.outcome) == ("", "Hm.", Outcome.REASONING_ONLY)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None, "refusal": "I will not."}, "I will not."),
        ({"content": None, "refusal": True}, ""),
        ({"content": "", "refusal": {"reason": "policy"}}, ""),
        ({"content": [{"type": "refusal", "refusal": "I will not."}]}, "I will not."),
        ({"content": [{"type": "text", "text": "First,"}, {"type": "refusal", "refusal": "I will not."}]}, "First,"),
    ],
)
def test_a_refusal_is_one_in_every_form_that_servers_give_it(
    openai_server: OpenAIServer, message: dict[str, Any], text: str
) -> None:
    openai_server.faults.append(body_with(message))
    said = ask(openai_server)
    assert (said.text, said.outcome) == (text, Outcome.REFUSAL)


def test_a_text_whose_finish_reason_is_missing_is_not_taken_for_a_whole_one(openai_server: OpenAIServer) -> None:
    openai_server.faults.append(body_with({"content": "Once upon a"}, None))
    assert ask(openai_server).outcome is Outcome.UNFINISHED


@pytest.mark.parametrize(
    "fault",
    [
        body_with({"content": "Once upon a"}, "error"),
        body_with({"content": "Once upon a"}, None, error={"code": 502, "message": "upstream went away"}),
    ],
)
def test_an_answer_that_the_server_broke_off_is_a_failed_attempt(openai_server: OpenAIServer, fault: Fault) -> None:
    openai_server.faults.append(fault)
    with pytest.raises(CompletionError, match="broke its answer off") as failure:
        ask(openai_server)
    assert (failure.value.kind, failure.value.kind.retryable) == (ErrorKind.INCOMPLETE, True)


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"code": 429, "message": "slow down"}, ErrorKind.RATE_LIMITED, 429),
        ({"code": "429", "message": "the limit of the day is reached"}, ErrorKind.DENIED, 429),
        ({"code": "rate_limit_exceeded", "message": "slow down"}, ErrorKind.RATE_LIMITED, 429),
        ({"code": 503, "message": "busy"}, ErrorKind.SERVER, 503),
        ({"code": 401, "message": "who are you"}, ErrorKind.DENIED, 401),
        ({"code": "insufficient_quota", "message": "pay first"}, ErrorKind.DENIED, 429),
        ({"code": "invalid_api_key", "message": "who are you"}, ErrorKind.DENIED, 401),
        ({"code": "model_not_found", "message": "no model m"}, ErrorKind.DENIED, 404),
        ({"type": "rate_limit_error", "message": "slow down"}, ErrorKind.RATE_LIMITED, 429),
        ({"status": "RESOURCE_EXHAUSTED", "message": "slow down"}, ErrorKind.RATE_LIMITED, 429),
        ({"code": 429.0, "message": "slow down"}, ErrorKind.RATE_LIMITED, 429),
        ({"message": "no code at all"}, ErrorKind.BAD_REPLY, 200),
    ],
)
def test_an_error_in_a_response_of_status_200_is_what_its_code_says(
    openai_server: OpenAIServer, error: dict[str, Any], kind: ErrorKind, status: int
) -> None:
    openai_server.faults.append(Fault(status=200, body=json.dumps({"error": error})))
    with pytest.raises(CompletionError) as failure:
        ask(openai_server)
    assert (failure.value.kind, failure.value.http_status) == (kind, status)


@pytest.mark.parametrize("body", [{"error": "out of credit"}, {"error": {"message": "out of credit"}}])
def test_an_error_without_a_code_is_told_in_the_servers_words(
    openai_server: OpenAIServer, body: dict[str, Any]
) -> None:
    openai_server.faults.append(Fault(status=200, body=json.dumps(body)))
    with pytest.raises(CompletionError) as failure:
        ask(openai_server)
    assert failure.value.detail == "HTTP 200 with an error: out of credit"


def test_what_stands_beside_an_error_is_half_a_text_whatever_its_finish_reason(openai_server: OpenAIServer) -> None:
    half = {"index": 0, "message": {"role": "assistant", "content": "Half of"}, "finish_reason": "stop"}
    body = {"error": {"code": 502, "message": "upstream gone"}, "choices": [half]}
    openai_server.faults.append(Fault(status=200, body=json.dumps(body)))
    with pytest.raises(CompletionError) as failure:
        ask(openai_server)
    assert failure.value.detail == "HTTP 200 with an error of code 502: upstream gone"


def test_a_failure_holds_nothing_that_no_terminal_and_no_database_takes(openai_server: OpenAIServer) -> None:
    openai_server.faults.append(Fault(body='{"error": {"message": "on \\ud800 fire\\u0000"}}'))
    with pytest.raises(CompletionError) as failure:
        ask(openai_server)
    assert str(failure.value) == "server: HTTP 500: on \ufffd fire\ufffd"


@pytest.mark.parametrize("count", [2**62, 2**64 - 1, -1, 7.5])
def test_a_count_that_no_call_can_have_is_unknown_and_said_so(openai_server: OpenAIServer, count: float) -> None:
    openai_server.respond = lambda body: Reply("Hello.", completion_tokens=count, total_tokens=10)  # pyright: ignore[reportArgumentType]
    usage = ask(openai_server).usage
    assert (usage, usage.impossible) == (Usage(10, 0, None), True)


def test_a_number_of_thousands_of_digits_costs_no_answer(openai_server: OpenAIServer) -> None:
    body = json.dumps(Reply("Hello.").body("m") | {"created": 0}).replace('"created": 0', '"created": ' + "9" * 5_000)
    openai_server.faults.append(
        Fault(status=200, body=body.replace('"total_tokens": 15', '"total_tokens": ' + "9" * 5_000))
    )
    said = ask(openai_server)
    assert (said.text, said.usage, said.usage.impossible) == ("Hello.", Usage(10, 0, 5), True)


@pytest.mark.parametrize(
    ("reply", "usage"),
    [
        (Reply(cached_tokens=500), Usage(10, None, 5)),
        (Reply(cache_write_tokens=500), Usage(10, 0, 5)),
        (Reply(reasoning_tokens=900), Usage(10, 0, 5)),
    ],
)
def test_a_part_that_is_larger_than_the_whole_is_unknown_and_said_so(
    openai_server: OpenAIServer, reply: Reply, usage: Usage
) -> None:
    openai_server.respond = lambda body: reply
    found = ask(openai_server).usage
    assert (found, found.impossible) == (usage, True)


@pytest.mark.parametrize("logprob", [float("nan"), 10**400, -(10**400), 1e300, 0.5, "no number"])
def test_probabilities_that_are_no_numbers_are_none(openai_server: OpenAIServer, logprob: object) -> None:
    """A number of 400 digits has no place in a float, and nothing is more likely than certain."""
    token = {"token": "Equal", "logprob": logprob, "top_logprobs": []}
    openai_server.faults.append(body_with({"content": "Equal"}, logprobs={"content": [token]}))
    assert ask(openai_server).tokens == ()


HTML = Fault(status=200, body="<html>hello</html>", content_type="text/html")
COMPLETION = json.dumps(Reply("Hello, you there.").body("some-model"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        (Fault(status=500), ErrorKind.SERVER, 500),
        (Fault(status=503, body="<html>busy</html>", content_type="text/html"), ErrorKind.SERVER, 503),
        (Fault(status=502, headers={"Content-Encoding": "gzip"}), ErrorKind.SERVER, 502),
        (Fault(status=504), ErrorKind.TIMEOUT, 504),
        (Fault(status=524), ErrorKind.TIMEOUT, 524),
        (Fault(status=429), ErrorKind.RATE_LIMITED, 429),
        (Fault(status=408), ErrorKind.TIMEOUT, 408),
        (Fault(status=409), ErrorKind.SERVER, 409),
        (Fault(status=400), ErrorKind.REJECTED, 400),
        (Fault(status=413), ErrorKind.REJECTED, 413),
        (HTML, ErrorKind.NOT_JSON, 200),
        (Fault(status=200, body=""), ErrorKind.NOT_JSON, 200),
        (Fault(status=200, body='{"choices": [{"mess'), ErrorKind.NOT_JSON, 200),
        (Fault(status=200, body="[" * 100_000), ErrorKind.NOT_JSON, 200),
        (Fault(status=200, body='{"choices": []}'), ErrorKind.BAD_REPLY, 200),
        (Fault(status=200, body="null"), ErrorKind.BAD_REPLY, 200),
        (Fault(status=200, body='{"error": {"message": "upstream failed"}}'), ErrorKind.BAD_REPLY, 200),
        (Fault(status=200, body=COMPLETION.replace("Hello", "Héllo").encode("latin-1")), ErrorKind.BAD_ENCODING, 200),
        (Fault(status=200, headers={"Content-Encoding": "gzip"}), ErrorKind.BAD_ENCODING, None),
        (Fault(disconnect=True), ErrorKind.CONNECTION, None),
        (Fault(status=200, body=COMPLETION, part=True, disconnect=True), ErrorKind.CONNECTION, None),
        (Fault(hang_s=5), ErrorKind.TIMEOUT, None),
        (Fault(status=200, body=COMPLETION, part=True, hang_s=5), ErrorKind.TIMEOUT, None),
        (Fault(status=500, part=True, hang_s=5), ErrorKind.TIMEOUT, None),
    ],
)
def test_each_way_to_fail_has_its_kind_and_is_one_request(
    openai_server: OpenAIServer, fault: Fault, kind: ErrorKind, status: int | None
) -> None:
    openai_server.faults.append(fault)
    with pytest.raises(CompletionError) as failure:
        ask(openai_server, timeout_s=1.0 if fault.hang_s else 20.0)
    assert (failure.value.kind, failure.value.http_status) == (kind, status)
    assert openai_server.count == 1


def said(code: str, message: str = "no") -> str:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", "code": code}})


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(status=401), id="a wrong key"),
        pytest.param(Fault(status=400, body=said("invalid_api_key")), id="a wrong key, said otherwise"),
        pytest.param(
            Fault(status=400, body='[{"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}}]'),
            id="a wrong key, said as Google does",
        ),
        pytest.param(Fault(status=402), id="no credit"),
        pytest.param(Fault(status=403), id="no access"),
        pytest.param(Fault(status=404, body="404 page not found", content_type="text/plain"), id="a wrong URL"),
        pytest.param(Fault(status=405, body=""), id="a URL of something else"),
        pytest.param(Fault(status=404, body=said("model_not_found")), id="a wrong model"),
        pytest.param(Fault(status=400, body=said("invalid_model")), id="a wrong model, said otherwise"),
        pytest.param(Fault(status=429, body=said("insufficient_quota")), id="an exhausted quota"),
        pytest.param(Fault(status=301, headers={"Location": "https://elsewhere/v1"}), id="a redirect"),
    ],
)
def test_an_endpoint_that_will_answer_nothing_is_told_apart(openai_server: OpenAIServer, fault: Fault) -> None:
    openai_server.faults.append(fault)
    with pytest.raises(CompletionError) as failure:
        ask(openai_server)
    assert (failure.value.kind, failure.value.http_status) == (ErrorKind.DENIED, fault.status)
    assert not failure.value.kind.retryable
    assert openai_server.count == 1


def test_a_redirect_is_not_followed(openai_server: OpenAIServer) -> None:
    openai_server.faults.append(Fault(status=307, headers={"Location": "/v1/chat/completions"}))
    with pytest.raises(CompletionError, match="redirects to /v1/chat/completions; correct the base URL"):
        ask(openai_server)
    assert openai_server.count == 1


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(b" " * 65_536, {}, id="plain"),
        pytest.param(gzip.compress(b" " * 2**26), {"Content-Encoding": "gzip"}, id="packed"),
    ],
)
@pytest.mark.parametrize(("status", "kind"), [(200, ErrorKind.TOO_LARGE), (500, ErrorKind.SERVER)])
def test_a_huge_answer_is_left_unread(
    openai_server: OpenAIServer, body: bytes, headers: dict[str, str], status: int, kind: ErrorKind
) -> None:
    openai_server.faults.append(Fault(status, body, headers=headers, endless=True))
    tracemalloc.start()
    try:
        with pytest.raises(CompletionError) as failure:
            ask(openai_server)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (failure.value.kind, failure.value.http_status) == (kind, status)
    assert most < 3 * MAX_BODY_BYTES
    assert openai_server.sent_bytes < 2 * MAX_BODY_BYTES
    assert len(failure.value.detail) < 2_000


@pytest.mark.slow
def test_a_long_answer_is_read_whole(openai_server: OpenAIServer) -> None:
    text = "a word " * 1_000_000
    openai_server.respond = lambda body: Reply(text)
    assert ask(openai_server).text == text


def test_a_refused_connection_never_reached_the_server() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(CompletionError) as failure:
            ask(f"http://127.0.0.1:{port}/v1")
    assert failure.value.kind is ErrorKind.UNREACHABLE


def test_a_name_that_does_not_exist_never_reached_a_server() -> None:
    with pytest.raises(CompletionError) as failure:
        ask("https://no-such-host.invalid/v1")
    assert failure.value.kind is ErrorKind.UNREACHABLE


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
    assert failure.value.kind is ErrorKind.UNREACHABLE


def test_a_server_that_speaks_no_http_is_unreadable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            with server.accept()[0] as connection:
                connection.recv(65_536)
                connection.sendall(b"220 mail.example ESMTP\r\n\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(CompletionError) as failure:
            ask(f"http://127.0.0.1:{server.getsockname()[1]}/v1")
        thread.join()
    assert failure.value.kind is ErrorKind.BAD_ENCODING


@pytest.mark.parametrize(
    ("reply", "usage"),
    [
        (Reply(completion_tokens=50, reasoning_tokens=40), Usage(10, 0, 50, 40)),
        (Reply(completion_tokens=5, reasoning_tokens=40, total_tokens=55), Usage(10, 0, 45, 40)),
        (Reply(completion_tokens=5, total_tokens=55), Usage(10, 0, 45, 40)),
        (Reply(cached_tokens=4, cache_write_tokens=6), Usage(10, 4, 5, None, 6)),
    ],
    ids=["OpenAI", "xAI: reasoning beside the completion", "Gemini: reasoning in the total alone", "cache writes"],
)
def test_reasoning_and_cache_writes_are_counted_as_they_are_billed(
    openai_server: OpenAIServer, reply: Reply, usage: Usage
) -> None:
    openai_server.respond = lambda body: reply
    assert ask(openai_server).usage == usage


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("17ms", 0.017),
        ("1h2m3.5s", 3_723.5),
        ("12", 12.0),
        ("0.25", 0.25),
        ("1445412480", 0.0),
        ("1445412480000", 0.0),
        ("2015-10-21T07:28:00Z", 0.0),
        ("soon", None),
        ("-1", None),
    ],
)
def test_headroom_is_read_in_each_form_of_its_times(
    openai_server: OpenAIServer, value: str, seconds: float | None
) -> None:
    openai_server.respond = lambda body: Reply(headers={"x-ratelimit-reset-tokens": value})
    headers = ask(openai_server).rate_limit_headers
    assert headers is not None
    assert headers.tokens_reset_s == pytest.approx(seconds) if seconds else headers.tokens_reset_s == seconds


def test_a_date_that_lies_ahead_is_so_many_seconds(openai_server: OpenAIServer) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=90)).isoformat().replace("+00:00", "Z")
    openai_server.respond = lambda body: Reply(headers={"x-ratelimit-reset-requests": soon})
    headers = ask(openai_server).rate_limit_headers
    assert headers is not None
    assert headers.requests_reset_s == pytest.approx(90, abs=10)


def test_headroom_comes_with_answers_and_with_failures(openai_server: OpenAIServer) -> None:
    headers = {
        "X-RateLimit-Limit-Requests": "60",
        "X-RateLimit-Remaining-Requests": "59",
        "X-RateLimit-Reset-Requests": "1s",
        "X-RateLimit-Remaining-Tokens": "149984",
        "X-RateLimit-Reset-Tokens": "6m0s",
    }
    expected = RateLimitHeaders(requests=59, requests_reset_s=1.0, tokens=149_984, tokens_reset_s=360.0)
    openai_server.respond = lambda body: Reply(headers=headers)
    assert ask(openai_server).rate_limit_headers == expected
    openai_server.faults.append(Fault(status=429, headers=headers))
    with pytest.raises(CompletionError) as failure:
        ask(openai_server)
    assert failure.value.rate_limit_headers == expected
    openai_server.respond = echo
    assert ask(openai_server).rate_limit_headers is None


def test_parameters_that_are_omitted_are_not_sent(openai_server: OpenAIServer) -> None:
    ask(openai_server, omit=("temperature", "seed"))
    assert openai_server.received[0].keys() == {"model", "messages", "top_p", "max_tokens"}
    with pytest.raises(ValueError, match="max_tokens cannot be left out"):
        OpenAICompatibleModel("m", omit=["max_tokens"])


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (
            400,
            said("unsupported_value", "Unsupported value: 'temperature' does not support 0.7 with this model."),
            "set TEAMS_<ROLE>_OMIT=temperature)",
        ),
        (
            422,
            '{"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}',
            "set TEAMS_<ROLE>_OMIT=seed)",
        ),
        (
            400,
            said("x", "`temperature` and `top_p` cannot both be specified for this model. " + "Long. " * 500),
            "set TEAMS_<ROLE>_OMIT=temperature,top_p)",
        ),
    ],
)
def test_a_refused_parameter_ends_with_what_to_do(
    openai_server: OpenAIServer, status: int, body: str, hint: str
) -> None:
    openai_server.faults.append(Fault(status, body))
    with pytest.raises(CompletionError) as failure:
        ask(openai_server)
    assert failure.value.kind is ErrorKind.UNSUPPORTED
    assert failure.value.detail.endswith(hint)


def test_a_parameter_of_the_settings_that_is_refused_is_named(openai_server: OpenAIServer) -> None:
    openai_server.faults.append(Fault(400, said("x", "Unrecognized request argument supplied: top_k")))
    with pytest.raises(CompletionError, match=r"set TEAMS_<ROLE>_EXTRA without top_k") as failure:
        ask(openai_server, extra={"top_k": 40})
    assert failure.value.kind is ErrorKind.UNSUPPORTED


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 2048 tokens. However, you requested 2500 tokens.",
        "`max_tokens` must be less than or equal to 1024.",
    ],
)
def test_an_answer_that_does_not_fit_names_what_bounds_it(openai_server: OpenAIServer, message: str) -> None:
    openai_server.faults.append(Fault(400, said("x", message)))
    with pytest.raises(CompletionError, match=r"bounded by TEAMS_<ROLE>_MAX_TOKENS") as failure:
        ask(openai_server)
    assert failure.value.kind is ErrorKind.REJECTED


def test_another_rejection_gets_no_such_advice(openai_server: OpenAIServer) -> None:
    openai_server.faults.append(Fault(400, said("context_length_exceeded", "The prompt on temperature is too long.")))
    with pytest.raises(CompletionError) as failure:
        ask(openai_server)
    assert failure.value.detail == "HTTP 400: The prompt on temperature is too long."


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "5s"}, 5.0),
        ({"Retry-After": "1445412480"}, 0.0),
        ({"Retry-After": "2015-10-21T07:28:00Z"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": f"Wed, {'9' * 30} Oct 2015 07:28:00 GMT"}, None),
        ({"Retry-After": f"Wed, 21 Oct 2015 07:28:00 +{'9' * 20}"}, None),
        ({"Retry-After": "99999999999999999999"}, None),
        ({"Retry-After": "-5"}, None),
        ({"retry-after-ms": "inf"}, None),
        ({"retry-after-ms": "nan"}, None),
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


@pytest.mark.parametrize("ahead", [timedelta(days=-400), timedelta(hours=-1), timedelta(hours=1)])
def test_a_date_is_so_many_seconds_by_the_clock_of_the_server_that_gave_it(
    openai_server: OpenAIServer, ahead: timedelta
) -> None:
    theirs = datetime.now(UTC) + ahead
    headers = {"Date": format_datetime(theirs), "Retry-After": format_datetime(theirs + timedelta(seconds=9))}
    openai_server.faults.append(Fault(status=429, headers=headers))
    with pytest.raises(CompletionError) as failure:
        ask(openai_server)
    assert failure.value.retry_after == 9


def test_a_count_of_thousands_of_digits_among_the_headers_is_none(openai_server: OpenAIServer) -> None:
    headers = {"x-ratelimit-remaining-requests": "9" * 5_000, "x-ratelimit-reset-requests": "1s"}
    openai_server.respond = lambda body: Reply(headers=headers)
    assert ask(openai_server).rate_limit_headers == RateLimitHeaders(None, 1.0)


@pytest.mark.parametrize(
    "show", [repr, str, lambda error: "".join(traceback.format_exception(error)), lambda error: error.detail]
)
def test_the_key_is_never_shown(openai_server: OpenAIServer, show: Callable[[Any], str]) -> None:
    openai_server.faults.append(Fault(401, said("invalid_api_key", f"Incorrect API key provided: {KEY}")))
    model = OpenAICompatibleModel("m", base_url=openai_server.base_url, api_key=KEY)
    assert KEY not in repr(model)
    with pytest.raises(CompletionError) as failure:
        ask(openai_server)
    assert "Incorrect API key" in failure.value.detail
    assert KEY not in show(failure.value)


@pytest.mark.parametrize("padding", range(960, 1_000, 13))
def test_no_part_of_the_key_is_left_where_a_message_is_cut(openai_server: OpenAIServer, padding: int) -> None:
    openai_server.faults.append(Fault(400, said("x", "." * padding + KEY)))
    with pytest.raises(CompletionError) as failure:
        ask(openai_server)
    assert KEY[:8] not in failure.value.detail


def test_a_key_that_a_server_echoes_is_not_in_the_answer(openai_server: OpenAIServer) -> None:
    openai_server.respond = lambda body: Reply(f"You sent {KEY}.")
    assert ask(openai_server).text == "You sent ***."


@pytest.mark.parametrize("key", ["text", "1", "none", "EMPTY", "token", "message"])
def test_a_key_that_is_no_secret_changes_no_answer(openai_server: OpenAIServer, key: str) -> None:
    openai_server.respond = lambda body: Reply("1 text, none EMPTY: a token of the message.")
    completion = ask(openai_server, key=key)
    assert completion.text == "1 text, none EMPTY: a token of the message."
    assert completion.usage.prompt_tokens is not None


@pytest.mark.parametrize(("key", "shown"), [("code", "No ***."), ("s3/cret", "No ***."), ("No", "No No.")])
def test_a_short_key_is_hidden_in_failures_which_are_understood_all_the_same(
    openai_server: OpenAIServer, key: str, shown: str
) -> None:
    openai_server.faults.append(Fault(400, said("invalid_api_key", f"No {key}.")))
    with pytest.raises(CompletionError) as failure:
        ask(openai_server, key=key)
    assert failure.value.kind is ErrorKind.DENIED
    assert failure.value.detail == f"HTTP 400: {shown}"


@pytest.mark.parametrize("url", ["https://me:pw@host/v1", "https://host/v1?api-key=x"])
def test_a_base_url_with_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="_API_KEY"):
        OpenAICompatibleModel("m", base_url=url)


def test_plain_http_does_not_leave_this_machine_unless_allowed() -> None:
    with pytest.raises(ValueError, match=r"llm\.internal over plain http"):
        OpenAICompatibleModel("m", base_url="http://llm.internal/v1")
    OpenAICompatibleModel("m", base_url="http://llm.internal/v1", allow_http=True)
    for local in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:8000/v1"):
        OpenAICompatibleModel("m", base_url=local)


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
    with OpenAIServer() as server:
        server.holds_until = 200
        model = OpenAICompatibleModel("m", base_url=server.base_url)

        async def many() -> list[Completion]:
            answers = await asyncio.gather(*[model.complete(question(str(i))) for i in range(200)])
            await model.close()
            return answers

        answers = asyncio.run(many())
    assert len({answer.text for answer in answers}) == 200
    assert server.most_in_flight == 200


def test_an_idle_connection_that_the_server_dropped_is_an_attempt_that_was_not_sent(
    openai_server: OpenAIServer,
) -> None:
    async def twice() -> Completion:
        model = OpenAICompatibleModel("some-model", base_url=openai_server.base_url)
        try:
            await model.complete(question())
            openai_server.drop_connections()  # while this loop does not run, and so cannot notice
            return await model.complete(question())
        finally:
            await model.close()

    with pytest.raises(CompletionError) as failure:
        uvloop.run(twice())
    assert failure.value.kind is ErrorKind.UNREACHABLE
    assert not failure.value.kind.perhaps_billed
    assert openai_server.count == 1


def test_a_connection_that_was_idle_for_as_long_as_servers_bear_is_not_used_again(openai_server: OpenAIServer) -> None:
    async def twice() -> Completion:
        model = OpenAICompatibleModel("some-model", base_url=openai_server.base_url)
        try:
            await model.complete(question())
            await asyncio.sleep(1.8)
            openai_server.drop_connections()  # while this loop does not run, and so cannot notice
            return await model.complete(question())
        finally:
            await model.close()

    assert uvloop.run(twice()).text
    assert openai_server.count == 2


def test_the_api_version_of_a_base_url_is_sent_with_each_query(openai_server: OpenAIServer) -> None:
    ask(f"{openai_server.base_url}?api-version=2024-10-21")
    assert openai_server.queries == ["api-version=2024-10-21"]
    assert openai_server.headers[0]["api-key"] == KEY
