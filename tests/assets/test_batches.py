"""A generation through a batch endpoint: the run ends, the sensor goes on, nothing is asked twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.generation import generated_instructions
from assets.policy import trained_policy
from assets.responses import expert_responses
from assets.seeds import seed_instructions
from teams_dagster.automation import collect_batches, regenerate
from tests.support.openai_batches import OpenAIBatchServer
from tests.support.project import Project
from tests.support.served_rules import answer

WEEK = "2026-01-05"


@pytest.fixture
def server() -> Iterator[OpenAIBatchServer]:
    with OpenAIBatchServer(answer) as served:
        yield served


@pytest.fixture
def project(tmp_path: Path, server: OpenAIBatchServer, monkeypatch: pytest.MonkeyPatch) -> Project:
    settings = {
        "EXPERT_MODEL": "m",
        "EXPERT_BASE_URL": server.base_url,
        "EXPERT_TRANSPORT": "batch",
        "REVIEWER_PROVIDER": "offline",
        "INSTRUCTOR_PROVIDER": "offline",
        "BATCH_WAIT_S": "0",
        "BATCH_POLL_S": "0.05",
        "DATA_DIR": str(tmp_path / "data"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"TEAMS_{name}", value)
    monkeypatch.setattr("teams_dagster.completions.batching.QUIET_S", 0.1)
    made = Project(tmp_path / "data")
    assert made.make(seed_instructions, trained_policy)
    return made


def requests(project: Project) -> list[dg.RunRequest]:
    """What the sensor would launch now."""
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(
            instance=instance, resources={"ledger": project.ledger, "models": project.models}
        ) as context,
    ):
        return list(collect_batches(context))


def test_a_generation_goes_on_from_batch_to_batch(project: Project, server: OpenAIBatchServer) -> None:
    paid = (generated_instructions, expert_responses)
    config = {"generated_instructions": {"seeds": 6, "foreign_policy": True}}
    runs = 0
    while not project.make(*paid, week=WEEK, **config):
        runs += 1
        assert runs < 12
        failure = next(iter(project.last.filter_events(lambda event: event.is_step_failure)))
        assert "collect_batches" in str(failure.step_failure_data.error.cause or failure.step_failure_data.error)
        assert requests(project) == []
        server.finish()
        [request] = requests(project)
        assert (request.job_name, request.partition_key) == (regenerate.name, WEEK)
    assert runs >= 2, "what follows from answers is asked in batches that follow"
    asked = Counter(str(body["messages"]) + str(body["seed"]) for body in server.received)
    assert set(asked.values()) == {1}
    assert sum(server.executed.values()) == server.count
    assert project.store.current("expert_responses", WEEK).facts["kept"] > 0
    assert requests(project) == []
