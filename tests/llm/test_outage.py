"""An endpoint that stops answering in mid-run: asked by few attempts until it answers again, or the step ends."""

from __future__ import annotations

import re
import time

import pytest

from teams_dagster.core.protocol import QueryFailed
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm import circuit
from teams_dagster.llm.circuit import EndpointBroken
from tests.support.openai_server import Body, Fault, OpenAIServer, fine
from tests.support.questions import ask_all

WORKED = 30
"""Queries that are answered before anything goes wrong."""

IN_FLIGHT = 8

OUTAGE_S = 2.0
"""Longer than all attempts of a query take, were they made as if nothing else failed."""

TEXTS = [f"text {number}" for number in range(200)]

HTML = Fault(200, "<html><body>Maintenance</body></html>", content_type="text/html")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (HTML, "not_json.*TEAMS_EXPERT_BASE_URL"),
        (Fault(200, '{"error": {"message": "busy", "code": 503}}'), "HTTP 200 with an error of code 503: busy"),
        (Fault(200, '{"error": "the upstream is away"}'), "HTTP 200 with an error: the upstream is away"),
        (Fault(200, "caf\xe9".encode("latin-1")), "bad_encoding"),
        (Fault(500), "server: HTTP 500.*TEAMS_EXPERT_BASE_URL"),
        (Fault(disconnect=True), "connection"),
    ],
)
def test_an_endpoint_that_breaks_in_mid_run_costs_few_attempts(
    openai_server: OpenAIServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, fault: Fault, told: str
) -> None:
    monkeypatch.setattr(circuit, "OUTAGE_S", 0.5)
    openai_server.respond = lambda body: fine(body) if openai_server.count <= WORKED else fault
    results = ask_all(openai_server, ledger, TEXTS, max_in_flight=IN_FLIGHT)
    assert openai_server.count <= WORKED + IN_FLIGHT + 25
    with pytest.raises(EndpointBroken, match=told):
        raise results[-1]


def test_a_short_outage_costs_no_row(openai_server: OpenAIServer, ledger: Ledger) -> None:
    began: list[float] = []

    def respond(body: Body) -> str | Fault:
        if openai_server.count > WORKED and not began:
            began.append(time.monotonic())
        return HTML if began and time.monotonic() - began[0] < OUTAGE_S else fine(body)

    openai_server.respond = respond
    results = ask_all(openai_server, ledger, TEXTS[: WORKED + IN_FLIGHT], max_in_flight=IN_FLIGHT)
    assert not [result for result in results if isinstance(result, BaseException)]


def test_a_few_queries_that_no_server_survives_end_no_step(
    openai_server: OpenAIServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often they are tried: the last of a step have no others beside them that are answered."""
    monkeypatch.setattr(circuit, "OUTAGE_S", 0.1)
    hopeless = TEXTS[-4:]

    def respond(body: Body) -> str | Fault:
        return Fault(500) if body["messages"][-1]["content"] in hopeless else fine(body)

    openai_server.respond = respond
    results = ask_all(openai_server, ledger, TEXTS[-50:], max_in_flight=IN_FLIGHT)
    assert [type(result) for result in results[-4:]] == [QueryFailed] * 4
    assert not [result for result in results[:-4] if isinstance(result, BaseException)]
    assert re.search("HTTP 500", str(results[-1]))


def test_an_endpoint_that_refuses_from_the_first_query_on_is_asked_little_and_ends_the_step(
    openai_server: OpenAIServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit, "REFUSED_AT_FIRST_S", 0.5)
    openai_server.respond = lambda body: Fault(429, '{"error": {"message": "Too many requests."}}')
    results = ask_all(openai_server, ledger, TEXTS[:60], max_in_flight=IN_FLIGHT)
    assert openai_server.count <= 25
    assert {type(result) for result in results} == {EndpointBroken}
    assert re.search(r"429: Too many requests.*rate limit.*TEAMS_EXPERT_RPM", str(results[0]))
