"""When the adapters are retrained: enough to learn, or a new policy's samples; never because something was touched."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest

from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from teams_dagster.automation.jobs import regenerate, retrain
from teams_dagster.automation.retraining import monthly_retraining, retrain_on_new_samples
from teams_dagster.definitions import defs
from tests.support.commands import ROOT
from tests.support.weeks import Weeks

FIRST, SECOND, THIRD = "2026-11-02", "2026-11-09", "2026-11-16"
FEW = [f"few-{number}" for number in range(3)]
MANY = [f"many-{number}" for number in range(20)]


@pytest.fixture(autouse=True)
def _threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_RETRAIN_SAMPLES", "10")


def models(weeks: Weeks) -> LanguageModels:
    return LanguageModels(root=str(ROOT), ledger=LedgerConnection(root=str(ROOT), store=weeks.store))


def tick(weeks: Weeks, instance: dg.DagsterInstance) -> dg.RunRequest | str:
    """What a tick of the sensor launches, or why it launches nothing."""
    with dg.build_sensor_context(
        instance=instance, resources={"store": weeks.store, "models": models(weeks)}
    ) as context:
        data = retrain_on_new_samples.evaluate_tick(context)
    if data.run_requests:
        [request] = data.run_requests
        return request
    return str(data.skip_message)


def test_a_new_generation_asks_for_exactly_one_retraining(weeks: Weeks, instance: dg.DagsterInstance) -> None:
    weeks.generation(FIRST, *FEW)
    weeks.retrain()
    assert "no generation has a kept sample" in str(tick(weeks, instance))
    weeks.generation(SECOND, *MANY)
    weeks.dataset()
    first, second = tick(weeks, instance), tick(weeks, instance)
    assert isinstance(first, dg.RunRequest)
    assert isinstance(second, dg.RunRequest)
    assert first.run_key == second.run_key, "one name: Dagster launches it once, whatever becomes of it"
    assert "20 kept samples are new" in first.tags["teams/because"]
    config = dg.validate_run_config(defs.resolve_job_def("retrain"), dict(first.run_config))
    assert config["ops"]["instruction_dataset"]["config"]["as_before"] is True, "its threshold stays"
    weeks.retrain()
    assert "no generation has a kept sample" in str(tick(weeks, instance))


def test_too_few_samples_wait_for_more(weeks: Weeks, instance: dg.DagsterInstance) -> None:
    weeks.generation(FIRST, *MANY)
    weeks.retrain()
    weeks.generation(SECOND, *FEW)
    assert "TEAMS_RETRAIN_SAMPLES=10 is not reached" in str(tick(weeks, instance))
    weeks.generation(THIRD, *[f"third-{number}" for number in range(8)])
    request = tick(weeks, instance)
    assert isinstance(request, dg.RunRequest)
    assert "11 kept samples" in request.tags["teams/because"]


def test_what_was_made_again_with_the_same_content_retrains_nothing(weeks: Weeks, instance: dg.DagsterInstance) -> None:
    weeks.generation(FIRST, *MANY)
    weeks.retrain()
    weeks.write("seed_instructions", "other seeds")
    weeks.write("trained_policy", "p2")
    weeks.generation(FIRST, *MANY)
    weeks.dataset()
    assert "no generation has a kept sample" in str(tick(weeks, instance))


def test_samples_that_a_retry_adds_are_counted_alone(weeks: Weeks, instance: dg.DagsterInstance) -> None:
    weeks.generation(FIRST, *MANY)
    weeks.retrain()
    weeks.generation(FIRST, *MANY, *FEW)
    assert str(tick(weeks, instance)).startswith("3 kept samples are new")


def test_a_few_samples_of_a_new_policy_are_enough(weeks: Weeks, instance: dg.DagsterInstance) -> None:
    weeks.generation(FIRST, *MANY, policy="p1")
    weeks.retrain()
    weeks.generation(SECOND, *FEW, policy="p2")
    request = tick(weeks, instance)
    assert isinstance(request, dg.RunRequest)
    assert "by policy p2" in request.tags["teams/because"]


def test_the_adapter_that_has_seen_least_decides(weeks: Weeks, instance: dg.DagsterInstance) -> None:
    weeks.generation(FIRST, *FEW)
    weeks.retrain()
    weeks.generation(SECOND, *MANY)
    weeks.dataset()
    weeks.adapters("lora")
    assert isinstance(tick(weeks, instance), dg.RunRequest)


@pytest.mark.parametrize("job", [regenerate.name, retrain.name])
def test_a_run_that_brings_samples_or_trains_is_waited_for(
    weeks: Weeks, instance: dg.DagsterInstance, job: str
) -> None:
    weeks.generation(FIRST, *MANY)
    instance.add_run(dg.DagsterRun(job_name=job, status=dg.DagsterRunStatus.STARTED))
    assert f"of {job} is waited for" in str(tick(weeks, instance))


def test_pairs_in_the_place_of_generations_retrain_nothing(
    weeks: Weeks, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    weeks.generation(FIRST, *MANY)
    monkeypatch.setenv("TEAMS_PAIRS", str(weeks.store.root / "pairs.jsonl"))
    monkeypatch.setenv("TEAMS_PAIRS_MODE", "instead")
    assert "TEAMS_PAIRS_MODE=instead" in str(tick(weeks, instance))


def test_by_the_calendar_one_new_sample_is_enough_and_none_is_not(weeks: Weeks) -> None:
    weeks.generation(FIRST, *FEW)
    resources = {"store": weeks.store, "models": models(weeks)}
    when = datetime(2026, 12, 1, 5, tzinfo=UTC)
    with dg.build_schedule_context(scheduled_execution_time=when, resources=resources) as context:
        assert len(monthly_retraining.evaluate_tick(context).run_requests or []) == 1
    weeks.retrain()
    with dg.build_schedule_context(scheduled_execution_time=when, resources=resources) as context:
        assert "no generation has a kept sample" in str(monthly_retraining.evaluate_tick(context).skip_message)
