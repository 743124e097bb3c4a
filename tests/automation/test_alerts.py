"""What people are told of by themselves: runs that failed, checks that found something."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from resources.alerts import Alerts
from teams_dagster.automation.alerts import alert_on_checks, alert_on_failure
from tests.support.commands import ROOT
from tests.support.webhook import Webhook

ALERTS = Alerts(root=str(ROOT))


class BatchesUnderWay(Exception):
    """As the engine raises it."""


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with Webhook() as opened:
        monkeypatch.setenv("TEAMS_ALERT_WEBHOOK_URL", opened.url)
        yield opened


def fail(instance: dg.DagsterInstance, error: Exception) -> None:
    """Have a run of job `regenerate` fail by `error`, and the sensor hear of it."""

    @dg.op
    def expert_responses() -> None:
        raise error

    @dg.job(name="regenerate")
    def job() -> None:
        expert_responses()

    run = job.execute_in_process(instance=instance, raise_on_error=False, tags={"dagster/partition": "2026-11-02"})
    context = dg.build_run_status_sensor_context(
        sensor_name="alert_on_failure",
        dagster_event=next(event for event in run.all_events if event.event_type_value == "PIPELINE_FAILURE"),
        dagster_instance=instance,
        dagster_run=instance.get_run_by_id(run.run_id) or run.dagster_run,
        resources={"alerts": ALERTS},
    ).for_run_failure()
    alert_on_failure(context)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the budget is used up: raise TEAMS_BUDGET_USD"),
        dg.Failure("the budget is used up: raise TEAMS_BUDGET_USD", allow_retries=False),
        caused(RuntimeError("a step"), ValueError("the budget is used up: raise TEAMS_BUDGET_USD")),
    ],
)
def test_a_failed_run_is_told_of_with_the_advice_of_its_error(
    webhook: Webhook, instance: dg.DagsterInstance, error: Exception
) -> None:
    fail(instance, error)
    [told] = webhook.received
    assert told["title"] == "Run of regenerate failed in expert_responses"
    assert told["text"].splitlines()[1] == "the budget is used up: raise TEAMS_BUDGET_USD"
    assert told["details"].keys() == {"job", "step", "partition", "run"}


def test_a_run_that_waits_for_its_batches_alarms_nobody(webhook: Webhook, instance: dg.DagsterInstance) -> None:
    fail(instance, caused(dg.Failure("2 batches are under way"), BatchesUnderWay("2 batches are under way")))
    assert webhook.received == []


CHECKED = dg.AssetKey("query_costs")


def evaluate(instance: dg.DagsterInstance, name: str, passed: bool, severity: str, said: str, **metadata: bool) -> None:
    """Have a run record what a check said."""

    @dg.asset(key=CHECKED)
    def asset() -> None: ...

    @dg.asset_check(asset=CHECKED, name=name)
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=passed, severity=dg.AssetCheckSeverity(severity), description=said, metadata=metadata
        )

    dg.materialize([asset, check], selection=dg.AssetSelection.all_asset_checks(), instance=instance)


class Sensor:
    """`alert_on_checks` with its cursor from tick to tick."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance, self.cursor = instance, None

    def tick(self) -> str:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources={"alerts": ALERTS})
        with context:
            data = alert_on_checks.evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        return str(data.skip_message)


@pytest.fixture
def sensor(instance: dg.DagsterInstance) -> Sensor:
    evaluate(instance, "old", False, "ERROR", "found before the sensor was switched on")
    switched_on = Sensor(instance)
    assert "from now on" in switched_on.tick()
    return switched_on


def test_errors_and_the_warnings_of_budget_and_drift_are_told_once(webhook: Webhook, sensor: Sensor) -> None:
    evaluate(sensor.instance, "budget_has_room", False, "WARN", "95% of the dollars")
    evaluate(sensor.instance, "files_are_whole", False, "ERROR", "a file was edited")
    evaluate(sensor.instance, "few_rows_are_refused", False, "WARN", "60% were refused")
    evaluate(sensor.instance, "edits_do_not_drift", False, "WARN", "not run: nothing is there", not_run=True)
    assert "4 results of checks, 2 told of" in sensor.tick()
    assert [told["text"].splitlines()[1] for told in webhook.received] == ["95% of the dollars", "a file was edited"]
    evaluate(sensor.instance, "budget_has_room", False, "WARN", "95% of the dollars")
    assert "1 results of checks, 0 told of" in sensor.tick()


def test_a_finding_is_told_again_when_it_changed_or_came_back(webhook: Webhook, sensor: Sensor) -> None:
    for passed, said in [(False, "95%"), (False, "97%"), (True, "20%"), (False, "97%")]:
        evaluate(sensor.instance, "budget_has_room", passed, "WARN", said)
        sensor.tick()
    assert [told["text"].splitlines()[1] for told in webhook.received] == ["95%", "97%", "97%"]


def test_nobody_to_be_told_is_said(instance: dg.DagsterInstance) -> None:
    assert "TEAMS_ALERT_WEBHOOK_URL" in Sensor(instance).tick()
