"""A generation through a batch endpoint: the run ends, the sensor goes on, nothing is asked twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.uniform_arm.assets import uniform_instructions
from resources.language_models.run_budgets import CONTINUES
from teams_dagster.automation.batches import collect_batches
from teams_dagster.automation.jobs import regenerate, uniform_arm
from teams_dagster.automation.runs import AD_HOC, PARTITION
from teams_dagster.definitions import definitions
from tests.support.openai_batches import OpenAIBatchServer
from tests.support.project import Project
from tests.support.served_rules import answer

WEEK = "2026-01-05"


@pytest.fixture
def server() -> Iterator[OpenAIBatchServer]:
    with OpenAIBatchServer(answer) as served:
        yield served


@pytest.fixture
def project(project: Project, server: OpenAIBatchServer, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a trained policy, whose expert is asked in batches."""
    settings = {
        "EXPERT_MODEL": "m",
        "EXPERT_BASE_URL": server.base_url,
        "EXPERT_STRUCTURED": "off",
        "EXPERT_TRANSPORT": "batch",
        "REVIEWER_PROVIDER": "offline",
        "INSTRUCTOR_PROVIDER": "offline",
        "BATCH_WAIT_S": "0",
        "BATCH_POLL_S": "0.05",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"TEAMS_{name}", value)
    monkeypatch.setattr("teams_dagster.llm.batching.QUIET_S", 0.1)
    return project


PICKED = frozenset({dg.AssetKey("generated_instructions"), dg.AssetKey("expert_responses")})

CONFIG = {"generated_instructions": {"seeds": 6, "foreign_policy": True}}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def record(
    instance: dg.DagsterInstance,
    project: Project,
    job_name: str = AD_HOC,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.FAILURE,
    **details: Any,
) -> None:
    """Have the instance know the project's last run, as if it had been launched from the UI."""
    launched = dg.DagsterRun(
        job_name=job_name,
        run_id=project.last.run_id,
        run_config={"ops": {name: {"config": settings} for name, settings in CONFIG.items()}},
        status=status,
        **{"asset_selection": PICKED, "tags": {PARTITION: WEEK}, **details},
    )
    if not instance.has_run(launched.run_id):
        instance.add_run(launched)


def requests(project: Project, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """What the sensor would launch now."""
    with dg.build_sensor_context(
        instance=instance, resources={"ledger": project.ledger, "models": project.models}
    ) as context:
        tick = collect_batches(context)
        assert isinstance(tick, Iterator)
        return [request for request in tick if isinstance(request, dg.RunRequest)]


def hand_in(project: Project) -> None:
    """Have the first batch of a generation handed in."""
    assert not project.make(generated_instructions, expert_responses, week=WEEK, **CONFIG)


@pytest.mark.slow
def test_a_generation_goes_on_from_batch_to_batch(
    project: Project, server: OpenAIBatchServer, instance: dg.DagsterInstance
) -> None:
    paid = (generated_instructions, expert_responses)
    runs = 0
    while not project.make(*paid, week=WEEK, **CONFIG):
        record(instance, project, regenerate.name)
        runs += 1
        assert runs < 12
        failure = next(iter(project.last.filter_events(lambda event: event.is_step_failure)))
        error = failure.step_failure_data.error
        assert error is not None
        assert "collect_batches" in str(error.cause or error)
        assert requests(project, instance) == []
        server.finish()
        [request] = requests(project, instance)
        assert (request.job_name, request.partition_key) == (regenerate.name, WEEK)
    assert runs >= 2, "what follows from answers is asked in batches that follow"
    asked = Counter(str(body["messages"]) + str(body["seed"]) for body in server.received)
    assert set(asked.values()) == {1}
    assert sum(server.executed.values()) == server.count
    assert project.store.current("expert_responses", WEEK).facts["kept"] > 0
    assert requests(project, instance) == []


@pytest.mark.slow
def test_the_uniform_arm_goes_on_in_its_own_job(
    project: Project, server: OpenAIBatchServer, instance: dg.DagsterInstance
) -> None:
    while not project.make(generated_instructions, week=WEEK, generated_instructions=CONFIG["generated_instructions"]):
        server.finish()
    assert not project.make(uniform_instructions, week=WEEK)
    record(instance, project, asset_selection=frozenset({uniform_instructions.key}))
    server.finish()
    [request] = requests(project, instance)
    assert (request.job_name, request.partition_key) == (uniform_arm.name, WEEK)
    assert request.asset_selection == [uniform_instructions.key]


def test_what_was_picked_by_hand_goes_on_as_it_was_launched(
    project: Project, server: OpenAIBatchServer, instance: dg.DagsterInstance
) -> None:
    hand_in(project)
    record(instance, project)
    server.finish()
    [request] = requests(project, instance)
    assert request.asset_selection == sorted(PICKED)
    assert request.run_config == {"ops": {name: {"config": settings} for name, settings in CONFIG.items()}}
    assert request.tags[CONTINUES] == project.last.run_id
    job = (
        definitions(project.models.settings())
        .resolve_job_def(str(request.job_name))
        .get_subset(asset_selection=set(PICKED))
    )
    assert set(job.asset_layer.selected_asset_keys) == PICKED
    assert dg.validate_run_config(job, dict(request.run_config))


def test_the_first_run_is_named_however_many_came_between(
    project: Project, server: OpenAIBatchServer, instance: dg.DagsterInstance
) -> None:
    hand_in(project)
    record(instance, project, tags={PARTITION: WEEK, CONTINUES: "the-first"})
    server.finish()
    [request] = requests(project, instance)
    assert request.tags[CONTINUES] == "the-first"


@pytest.mark.slow
@pytest.mark.parametrize(
    "status", [dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, None]
)
def test_a_run_that_was_cancelled_or_goes_on_or_is_unknown_is_not_launched_again(
    project: Project, server: OpenAIBatchServer, instance: dg.DagsterInstance, status: dg.DagsterRunStatus | None
) -> None:
    hand_in(project)
    if status is not None:
        record(instance, project, status=status)
    server.finish()
    assert requests(project, instance) == []


def test_no_twin_is_launched_and_a_later_launch_has_a_name_of_its_own(
    project: Project, server: OpenAIBatchServer, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(project)
    record(instance, project)
    server.finish()
    [first] = requests(project, instance)
    assert [first] == requests(project, instance), "one name until it is launched: Dagster launches it once"
    instance.add_run(
        dg.DagsterRun(job_name=str(first.job_name), status=dg.DagsterRunStatus.FAILURE, tags=dict(first.tags))
    )
    assert requests(project, instance) == []
    monkeypatch.setattr("teams_dagster.automation.batches.ONCE_AN_HOUR", 0)
    [second] = requests(project, instance)
    assert second.run_key != first.run_key


@pytest.mark.parametrize("settings", [{"EXPERT_TRANSPORT": "pigeon"}, {"LEDGER_URL": "sqlite:////nowhere/at/all.db"}])
def test_settings_that_are_wrong_do_not_fail_the_tick(
    project: Project,
    server: OpenAIBatchServer,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
) -> None:
    hand_in(project)
    record(instance, project)
    server.finish()
    for name, value in settings.items():
        monkeypatch.setenv(f"TEAMS_{name}", value)
    assert requests(project, instance) == []


def test_a_role_that_is_asked_directly_again_first_collects_its_batches(
    project: Project, server: OpenAIBatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"generated_instructions": {"seeds": 6, "foreign_policy": True}}
    assert not project.make(generated_instructions, week=WEEK, **config)
    monkeypatch.setenv("TEAMS_EXPERT_TRANSPORT", "direct")
    assert not project.make(generated_instructions, week=WEEK, **config), "its questions are with the provider still"
    server.finish()
    assert project.make(generated_instructions, week=WEEK, **config)
    asked = Counter(str(body["messages"]) + str(body["seed"]) for body in server.received)
    assert set(asked.values()) == {1}
