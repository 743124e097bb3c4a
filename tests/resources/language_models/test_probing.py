"""What an endpoint honours is found out once, on the ledger, within the budget."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from teams_dagster.core.protocol import Role
from teams_dagster.core.replies import Way
from teams_dagster.ledger.traits import traits_of
from teams_dagster.llm import endpoint
from tests.support.openai_server import Body, Fault, OpenAIServer, Reply
from tests.support.project import Project


@pytest.fixture
def project(tmp_path: Path, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Project:
    configured = {"MODEL": "m", "BASE_URL": openai_server.base_url}
    for name, value in configured.items():
        monkeypatch.setenv(f"TEAMS_REVIEWER_{name}", value)
        monkeypatch.setenv(f"TEAMS_JUDGE_{name}", value)
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    return Project(tmp_path)


def honouring(field: str, reply: str) -> Callable[[Body], str]:
    """An endpoint that knows one field, and ignores all others."""
    return lambda body: reply if field in body else "The sky is blue because air scatters blue light most."


def way(project: Project, role: Role = Role.REVIEWER) -> Way | None:
    resources = {"store": project.store, "ledger": project.ledger, "models": project.models}
    with dg.build_resources(resources, instance=project.instance) as opened:
        return opened.models.found_out(role)[role].structured


def rows(project: Project, query: str) -> list[tuple[Any, ...]]:
    with project.ledger.open() as ledger, ledger.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


@pytest.mark.parametrize(
    ("field", "reply", "found", "queries"),
    [
        ("response_format", json.dumps({"reply": "Yes"}), Way.JSON_SCHEMA, 1),
        ("structured_outputs", "Yes", Way.CHOICE, 2),
        ("grammar", "No", Way.GRAMMAR, 3),
        ("nothing", "", None, 3),
    ],
)
def test_the_first_way_that_the_endpoint_honours_is_taken(
    project: Project, openai_server: OpenAIServer, field: str, reply: str, found: Way | None, queries: int
) -> None:
    openai_server.respond = honouring(field, reply)
    assert way(project) is found
    assert openai_server.count == queries


def test_it_is_found_out_once_for_every_process_and_role_of_the_model(
    project: Project, openai_server: OpenAIServer, tmp_path: Path
) -> None:
    openai_server.respond = honouring("response_format", json.dumps({"reply": "Yes"}))
    assert way(project) is way(Project(tmp_path)) is way(project, Role.JUDGE) is Way.JSON_SCHEMA
    assert openai_server.count == 1
    assert rows(project, "select purpose, structured from attempts join questions using (request_key)") == [
        ("probe", "json_schema")
    ]


def test_to_look_is_not_to_ask(project: Project, openai_server: OpenAIServer) -> None:
    assert project.models.identities(Role.REVIEWER)[Role.REVIEWER].structured is None
    assert openai_server.count == 0


@pytest.mark.parametrize(
    ("status", "said"),
    [(400, "logprobs is not supported"), (403, "You are not allowed to request logprobs from this model")],
)
def test_refused_log_probabilities_do_not_cost_the_constraint(
    project: Project, openai_server: OpenAIServer, status: int, said: str
) -> None:
    openai_server.respond = honouring("response_format", json.dumps({"reply": "Yes"}))
    openai_server.faults.append(Fault(status, json.dumps({"error": {"message": said}})))
    assert way(project) is Way.JSON_SCHEMA
    with project.ledger.open() as ledger:
        identity = project.models.identities(Role.REVIEWER)[Role.REVIEWER]
        assert traits_of(ledger.engine, identity) == {"structured": "json_schema", "logprobs": "no"}


def test_that_a_model_has_no_system_role_is_found_out_before_many_queries_meet_it(
    project: Project, openai_server: OpenAIServer
) -> None:
    honours = honouring("response_format", json.dumps({"reply": "Yes"}))
    refused = Fault(400, '{"error": {"message": "System role not supported"}}')
    openai_server.respond = lambda body: refused if body["messages"][0]["role"] == "system" else honours(body)
    assert way(project) is Way.JSON_SCHEMA
    assert openai_server.count == 2
    assert ("system_role", "folded") in rows(project, "select trait, value from endpoint_traits")


def test_log_probabilities_that_come_back_are_asked_for_from_then_on(
    project: Project, openai_server: OpenAIServer
) -> None:
    openai_server.respond = honouring("response_format", json.dumps({"reply": "Yes"}))
    openai_server.logprobs = [{"token": "Yes", "logprob": -0.1, "top_logprobs": []}]
    way(project)
    with project.ledger.open() as ledger:
        identity = project.models.identities(Role.REVIEWER)[Role.REVIEWER]
        assert traits_of(ledger.engine, identity)["logprobs"] == "yes"


def test_an_endpoint_that_is_down_is_not_written_down_as_one_that_honours_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_REVIEWER_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setattr("teams_dagster.llm.retries.RetryPolicy.pause_s", lambda self, error: None)
    with pytest.raises(dg.Failure, match=r"unreachable.*TEAMS_REVIEWER_STRUCTURED=off"):
        way(project)
    assert rows(project, "select * from endpoint_traits") == []


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (Fault(401, '{"error": {"message": "no such key"}}'), "HTTP 401: no such key.*TEAMS_REVIEWER_API_KEY"),
        (Fault(500), "HTTP 500: the model is on fire.*TEAMS_REVIEWER_BASE_URL"),
        (Fault(disconnect=True), "connection.*TEAMS_REVIEWER_BASE_URL"),
        (Fault(400, '{"error": {"message": "no luck"}}'), "HTTP 400: no luck.*TEAMS_REVIEWER_OMIT"),
    ],
)
def test_what_keeps_an_endpoint_from_answering_comes_first_with_the_setting(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, fault: Fault, named: str
) -> None:
    monkeypatch.setattr("teams_dagster.llm.retries.RetryPolicy.pause_s", lambda self, error: None)
    openai_server.respond = lambda body: fault
    with pytest.raises(dg.Failure, match=f"^the reviewer's model openai/m {openai_server.base_url} gives no .*{named}"):
        way(project)
    assert openai_server.count <= 7
    assert rows(project, "select trait from endpoint_traits") == []


def test_an_endpoint_that_refuses_every_way_and_answers_without_one_is_not_held(
    project: Project, openai_server: OpenAIServer
) -> None:
    refused = Fault(400, '{"error": {"message": "Extra inputs are not permitted"}}')
    extra = {"response_format", "structured_outputs", "grammar"}
    openai_server.respond = lambda body: refused if extra & body.keys() else "Because air scatters blue light most."
    assert way(project) is None
    assert ("structured", "off") in rows(project, "select trait, value from endpoint_traits")


def test_a_model_that_only_thinks_is_not_written_down_as_one_that_honours_nothing(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, thought = json.dumps({"reply": "Yes"}), Reply("<think>The user asks", "length")
    openai_server.respond = lambda body: Reply(held) if body["max_tokens"] > 1_000 else thought
    with pytest.raises(dg.Failure, match=r"all thinking in 256 tokens.*raise TEAMS_REVIEWER_MAX_TOKENS"):
        way(project)
    assert rows(project, "select trait from endpoint_traits") == []
    monkeypatch.setenv("TEAMS_REVIEWER_MAX_TOKENS", "4096")
    assert way(project) is Way.JSON_SCHEMA


def test_an_endpoint_that_does_not_answer_is_told_of_while_it_is_found_out(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEAMS_REVIEWER_TIMEOUT_S", "1")
    monkeypatch.setattr(endpoint, "TOLD_EVERY_S", 0.5)
    openai_server.faults.extend([Fault(hang_s=2)])
    assert way(project) is None
    told = capfd.readouterr().err
    assert f"openai/m {openai_server.base_url}: finds out how its replies can be held" in told
    assert "no answer for 0 min; the last attempt: timeout: no complete answer within 1 s" in told


def test_a_named_way_that_is_ignored_stops_the_step_and_names_the_variable(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_REVIEWER_STRUCTURED", "grammar")
    with pytest.raises(dg.Failure, match="TEAMS_REVIEWER_STRUCTURED=grammar is refused or ignored"):
        way(project)
    assert openai_server.count == 1


def test_an_endpoint_that_leaves_the_machine_is_not_probed_without_a_budget(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_REVIEWER_BASE_URL", "https://llm.example.com/v1")
    monkeypatch.setenv("TEAMS_REVIEWER_API_KEY", "sk-planted-for-this-test")
    with pytest.raises(dg.Failure, match="TEAMS_BUDGET_USD"):
        way(project)


def test_off_asks_nothing_and_holds_to_nothing(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_REVIEWER_STRUCTURED", "off")
    assert way(project) is None
    assert openai_server.count == 0
