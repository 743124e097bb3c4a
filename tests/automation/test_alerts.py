"""What people are told of by themselves: runs that failed, checks that found something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from resources import alerts
from resources.alerts import AlertNotSent, Alerts
from teams_dagster.automation.alerts import alert_on_checks, alert_on_failure
from teams_dagster.automation.runs import ALERTED, PARTITION
from teams_dagster.ledger.database import LedgerError
from tests.support.commands import ROOT
from tests.support.failures import ADVICE, caused
from tests.support.webhook import MailBox, Webhook

ALERTS = Alerts(root=str(ROOT))


class BatchesUnderWay(Exception):
    """As the engine raises it."""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "PAUSES_S", (0.0, 0.0))


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with Webhook() as opened:
        monkeypatch.setenv("TEAMS_ALERT_WEBHOOK_URL", opened.url)
        yield opened


def fail(instance: dg.DagsterInstance, *errors: Exception, **tags: str) -> dg.DagsterRun:
    """Have a run of job `regenerate` fail, each step by its error, and the sensor hear of it."""
    steps = [failing(f"step_{number}", error) for number, error in enumerate(errors, start=1)]

    @dg.job(name="regenerate")
    def job() -> None:
        for step in steps:
            step()

    run = job.execute_in_process(instance=instance, raise_on_error=False, tags={PARTITION: "2026-11-02", **tags})
    recorded = instance.get_run_by_id(run.run_id)
    assert recorded is not None
    hear(instance, recorded)
    return recorded


def failing(name: str, error: Exception) -> dg.OpDefinition:
    @dg.op(name=name)
    def step() -> None:
        raise error

    return step


def hear(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Have the sensor hear that a run failed."""
    [record] = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    event = record.event_log_entry.dagster_event
    assert event is not None
    context = dg.build_run_status_sensor_context(
        sensor_name="alert_on_failure",
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=run,
        resources={"alerts": ALERTS},
    ).for_run_failure()
    alert_on_failure(context)


def test_a_failed_run_is_told_of_with_the_advice_of_its_error(webhook: Webhook, instance: dg.DagsterInstance) -> None:
    fail(instance, LedgerError(ADVICE))
    [told] = webhook.received
    assert told["title"] == "Run of regenerate failed in step_1"
    assert told["text"].splitlines()[1] == ADVICE
    assert told["details"].keys() == {"job", "step", "partition", "run"}


def test_each_step_that_failed_is_told_of(webhook: Webhook, instance: dg.DagsterInstance) -> None:
    fail(instance, LedgerError("the ledger is locked"), LedgerError(ADVICE))
    [told] = webhook.received
    assert "step_1: the ledger is locked\nstep_2: the budget is used up" in told["text"]


def test_a_step_that_waits_hides_no_failure_of_another(webhook: Webhook, instance: dg.DagsterInstance) -> None:
    fail(instance, caused(dg.Failure("2 batches are under way"), BatchesUnderWay()), LedgerError(ADVICE))
    [told] = webhook.received
    assert told["title"] == "Run of regenerate failed in step_2"
    assert told["text"].splitlines()[1] == ADVICE


def test_a_failure_is_told_once_however_often_the_sensor_hears_of_it(
    webhook: Webhook, instance: dg.DagsterInstance
) -> None:
    run = fail(instance, LedgerError(ADVICE))
    hear(instance, run)
    assert len(webhook.received) == 1


def test_a_retry_of_dagster_that_fails_alike_is_not_told_again(webhook: Webhook, instance: dg.DagsterInstance) -> None:
    first = fail(instance, LedgerError(ADVICE))
    told = instance.get_run_by_id(first.run_id)
    assert told is not None
    retry = {"dagster/root_run_id": first.run_id, "dagster/parent_run_id": first.run_id, ALERTED: told.tags[ALERTED]}
    fail(instance, LedgerError(ADVICE), **retry, **{"dagster/retry_number": "1"})
    assert len(webhook.received) == 1
    fail(instance, LedgerError("another reason"), **retry, **{"dagster/retry_number": "2"})
    fail(instance, LedgerError(ADVICE), **retry)  # somebody launched it again by hand, and is to know
    assert len(webhook.received) == 3


def test_a_run_that_waits_for_its_batches_alarms_nobody(webhook: Webhook, instance: dg.DagsterInstance) -> None:
    fail(instance, caused(dg.Failure("2 batches are under way"), BatchesUnderWay("2 batches are under way")))
    assert webhook.received == []


CHECKED = dg.AssetKey("query_costs")

NAMES = ("old", "budget_has_room", "files_are_whole", "few_rows_are_refused", "edits_do_not_drift")


def stand_in(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=CHECKED, name=name)
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    return check


CODE = dg.Definitions(assets=[dg.AssetSpec(CHECKED)], asset_checks=[stand_in(name) for name in NAMES])
"""A code location with the checks that the tests have evaluated."""


def evaluation(name: str, passed: bool, severity: str, said: str, **metadata: bool) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=CHECKED, name=name)
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=passed, severity=dg.AssetCheckSeverity(severity), description=said, metadata=metadata
        )

    return check


def evaluate(instance: dg.DagsterInstance, name: str, passed: bool, severity: str, said: str, **metadata: bool) -> None:
    """Have a run record what a check said."""

    @dg.asset(key=CHECKED)
    def asset() -> None: ...

    check = evaluation(name, passed, severity, said, **metadata)
    dg.materialize([asset, check], selection=dg.AssetSelection.all_asset_checks(), instance=instance)


class Sensor:
    """`alert_on_checks` with its cursor from tick to tick."""

    def __init__(self, instance: dg.DagsterInstance, cursor: str | None = None) -> None:
        self.instance, self.cursor = instance, cursor

    def tick(self) -> str:
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources={"alerts": ALERTS}, definitions=CODE
        )
        with context:
            data = alert_on_checks.evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        return str(data.skip_message)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on SQLite files, as every project's is by default: it has no order of all runs' events."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


@pytest.fixture
def sensor(stored: dg.DagsterInstance) -> Sensor:
    evaluate(stored, "old", False, "ERROR", "found before the sensor was switched on")
    switched_on = Sensor(stored)
    assert "from now on" in switched_on.tick()
    return switched_on


def test_a_cursor_that_counted_events_begins_anew(stored: dg.DagsterInstance, webhook: Webhook) -> None:
    evaluate(stored, "files_are_whole", False, "ERROR", "a file was edited")
    sensor = Sensor(stored, json.dumps({"after": 41, "told": {}, "reached": []}))
    assert "from now on" in sensor.tick()
    evaluate(stored, "files_are_whole", False, "ERROR", "a file is missing")
    sensor.tick()
    assert [told["text"].splitlines()[1] for told in webhook.received] == ["a file is missing"]


def test_results_of_more_than_a_page_are_all_looked_at(
    webhook: Webhook, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teams_dagster.automation.alerts.PAGE", 2)
    for said in ("95%", "96%", "97%"):
        evaluate(sensor.instance, "budget_has_room", False, "WARN", said)
    assert "3 results of checks, 3 told of" in sensor.tick()
    assert [told["text"].splitlines()[1] for told in webhook.received] == ["95%", "96%", "97%"]


def test_a_check_that_was_planned_first_and_ended_last_is_looked_at(webhook: Webhook, sensor: Sensor) -> None:
    """Its result stands where it was planned, before one that was looked at already."""

    @dg.asset(key=CHECKED)
    def asset() -> None: ...

    @dg.asset_check(asset=CHECKED, name="budget_has_room")
    def check() -> dg.AssetCheckResult:
        evaluate(sensor.instance, "budget_has_room", True, "WARN", "20%")
        assert "1 results of checks, 0 told of" in sensor.tick()
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description="95%")

    dg.materialize([asset, check], selection=dg.AssetSelection.all_asset_checks(), instance=sensor.instance)
    assert "1 results of checks, 1 told of" in sensor.tick()


@pytest.mark.slow
def test_errors_and_the_warnings_of_budget_and_drift_are_told_once(webhook: Webhook, sensor: Sensor) -> None:
    evaluate(sensor.instance, "budget_has_room", False, "WARN", "95% of the dollars")
    evaluate(sensor.instance, "files_are_whole", False, "ERROR", "a file was edited")
    evaluate(sensor.instance, "few_rows_are_refused", False, "WARN", "60% were refused")
    evaluate(sensor.instance, "edits_do_not_drift", False, "WARN", "not run: nothing is there", not_run=True)
    assert "4 results of checks, 2 told of" in sensor.tick()
    assert [told["text"].splitlines()[1] for told in webhook.received] == ["95% of the dollars", "a file was edited"]
    evaluate(sensor.instance, "budget_has_room", False, "WARN", "95% of the dollars")
    assert "1 results of checks, 0 told of" in sensor.tick()


@pytest.mark.slow
def test_a_finding_is_told_again_when_it_changed_or_came_back(webhook: Webhook, sensor: Sensor) -> None:
    for passed, said in [(False, "95%"), (False, "97%"), (True, "20%"), (False, "97%")]:
        evaluate(sensor.instance, "budget_has_room", passed, "WARN", said)
        sensor.tick()
    assert [told["text"].splitlines()[1] for told in webhook.received] == ["95%", "97%", "97%"]


def test_what_one_way_takes_is_not_sent_that_way_again_for_the_sake_of_the_other(
    webhook: Webhook, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(sensor.instance, "budget_has_room", False, "WARN", "95%")
    with MailBox() as box:
        monkeypatch.setenv("TEAMS_ALERT_MAIL_SERVER", box.url)
        monkeypatch.setenv("TEAMS_ALERT_MAIL_TO", "ops@example.org")
        webhook.refuse = 3
        assert "TEAMS_ALERT_WEBHOOK_URL: the webhook answered 503" in sensor.tick()
        assert (len(webhook.received), len(box.received)) == (0, 1)
        sensor.tick()
    assert (len(webhook.received), len(box.received)) == (1, 1)


def test_findings_told_before_one_that_could_not_be_sent_are_not_told_again(webhook: Webhook, sensor: Sensor) -> None:
    for said in ("95%", "97%"):
        evaluate(sensor.instance, "budget_has_room", False, "WARN", said)
    webhook.refuse_with = "97%"
    assert "503" in sensor.tick()
    webhook.refuse_with = None
    sensor.tick()
    assert [told["text"].splitlines()[1] for told in webhook.received] == ["95%", "97%"]


def test_a_tick_that_sends_nothing_at_all_has_failed(webhook: Webhook, sensor: Sensor) -> None:
    evaluate(sensor.instance, "budget_has_room", False, "WARN", "95%")
    webhook.refuse = 3
    with pytest.raises(AlertNotSent, match="503"):
        sensor.tick()


def test_nobody_to_be_told_is_said(stored: dg.DagsterInstance) -> None:
    assert "TEAMS_ALERT_WEBHOOK_URL" in Sensor(stored).tick()
