"""Sensors that tell people: of runs that failed, and of checks that found something."""

# Dagster's own signatures leave generics open:
# pyright: reportUnknownMemberType=false

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from resources.alerts import NOT_SET, Alert, AlertNotSent, Alerts
from teams_dagster.automation.runs import ALERTED, PARTITION, RETRY, ROOT, UNKNOWN, StepFailure, step_failures
from teams_dagster.core.hashing import content_hash
from teams_dagster.settings import SettingsError

TOLD_OF = frozenset({"spending_is_within_budget", "budget_has_room", "edits_do_not_drift", "answers_do_not_drift"})
"""Checks whose warnings are worth a message; of the others, only errors are."""

PAGE = 20
"""Results of a check that are read at once."""

EVALUATED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
"""What a check has said, apart from what it was planned to say."""

LONGEST_TICK_S = 15.0
"""Seconds after which a tick begins no other message: Dagster ends one after a minute, and keeps no cursor of it."""

GOES_ON = "BatchesUnderWay"
"""The error of a run that ended to wait for its batches: `collect_batches` goes on with it, and nobody has to act."""


@dg.run_failure_sensor(
    name="alert_on_failure",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Tells TEAMS_ALERT_WEBHOOK_URL or TEAMS_ALERT_MAIL_TO of each run that failed, why, and what to do. Off"
    " until switched on.",
)
def alert_on_failure(context: dg.RunFailureSensorContext, alerts: Alerts) -> dg.SkipReason | None:
    """One message a run, with the error of each step that failed: its first line says what was wrong and what to do.

    The run is tagged once it was told of, so that a tick that ended too soon, or Dagster's own retries of a run, do not
    tell the same again.
    """
    if (silent := _silent(alerts)) is not None:
        return silent
    run, steps = context.dagster_run, step_failures(context.get_step_failure_events())
    failed = [step for step in steps if GOES_ON not in step.kinds]
    if steps and not failed:
        return dg.SkipReason(f"run {run.run_id} waits for its batches: collect_batches goes on with it")
    alert = _failure_alert(run, failed, context.failure_event.message)
    told = content_hash("alert", [alert.title, alert.text])[:16]
    if (before := _told_before(context.instance, run, told)) is not None:
        return dg.SkipReason(f"of the failure of run {run.run_id} people were told, with run {before}")
    tags = {ALERTED: f"{run.run_id} {told}"}
    try:
        alerts.send(alert)
    except AlertNotSent as error:
        if error.reached:
            context.instance.add_run_tags(run.run_id, tags)
        raise
    context.instance.add_run_tags(run.run_id, tags)
    return None


def _failure_alert(run: dg.DagsterRun, failed: Sequence[StepFailure], message: str | None) -> Alert:
    """What is said of a run; of one that was killed, `message`."""
    why = failed[0].reason if failed else message or UNKNOWN
    if len(failed) > 1:
        why = "\n".join(f"{step.step}: {step.reason}" for step in failed)
    details = {"job": run.job_name, "step": ", ".join(step.step for step in failed)}
    details |= {"partition": run.tags.get(PARTITION, ""), "run": run.run_id}
    place = f" in {failed[0].step}" if failed else ""
    return Alert(f"Run of {run.job_name} failed{place}", why, {name: value for name, value in details.items() if value})


def _told_before(instance: dg.DagsterInstance, run: dg.DagsterRun, told: str) -> str | None:
    """The run with which people were told of this failure: itself, or one that Dagster retried with it.

    A run that is launched again has the tags of the one before it, so the tag names the run that it was given to.
    """
    known = [instance.get_run_by_id(run.run_id)]
    if RETRY in run.tags and ROOT in run.tags:
        known += [instance.get_run_by_id(run.tags[ROOT])]
        known += instance.get_runs(dg.RunsFilter(tags={ROOT: run.tags[ROOT]}))
    for other in filter(None, known):
        given_to, _, earlier = other.tags.get(ALERTED, "").partition(" ")
        if given_to == run.run_id or (RETRY in run.tags and earlier == told):
            return given_to
    return None


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Tells TEAMS_ALERT_WEBHOOK_URL or TEAMS_ALERT_MAIL_TO of asset checks that found an error, little"
    " budget left, or a generation that drifted; once for each finding. Off until switched on.",
)
def alert_on_checks(context: dg.SensorEvaluationContext, alerts: Alerts) -> dg.SensorResult | dg.SkipReason:
    """What the checks said since the last tick; of what they said before the sensor was switched on, nothing.

    The cursor moves as far as everything was sent, so that a message that did not arrive is sent by the next tick, and
    by no way by which it arrived.
    """
    if (silent := _silent(alerts)) is not None:
        return silent
    checks = _checks(context)
    if (told := _read(context.cursor)) is None:
        return _cursor(_from_now_on(context.instance, checks), "from now on checks are looked at")
    before, sent, began = told, 0, time.monotonic()
    records = [record for check in checks for record in _since(context.instance, check, told.after.get(_name(check)))]
    for done, record in enumerate(sorted(records, key=_when)):
        finding = _finding(record)
        if finding is not None and finding.tell and told.findings.get(finding.name) != finding.said:
            if time.monotonic() - began > LONGEST_TICK_S:
                return _cursor(
                    told, f"{done} of {len(records)} results of checks, {sent} told of: the next tick goes on"
                )
            try:
                alerts.send(finding.alert, told.reached)
            except AlertNotSent as error:
                context.log.error(str(error))
                told = replace(told, reached=tuple(sorted(error.reached)))
                if told == before and error.missed:
                    raise
                if error.missed:
                    return _cursor(told, str(error))
            sent += 1
        told = told.and_then(record, finding)
    return _cursor(told, f"{len(records)} results of checks, {sent} told of")


@dataclass(frozen=True)
class Told:
    """How far the checks were looked at."""

    after: Mapping[str, float]
    """When each check said the last that was looked at, in seconds since 1970."""
    findings: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    """What was told of each check that has not passed since."""
    reached: tuple[str, ...] = ()
    """Settings by which the next finding was sent already."""

    def and_then(self, record: AssetCheckExecutionRecord, finding: "_Finding | None") -> "Told":
        """After another result."""
        findings = dict(self.findings)
        if finding is not None and finding.passed:
            findings.pop(finding.name, None)
        elif finding is not None and finding.tell:
            findings[finding.name] = finding.said
        return Told({**self.after, _name(record.key): _when(record)}, findings)


@dataclass(frozen=True)
class _Finding:
    """What a check said of an asset."""

    name: str
    passed: bool
    said: str | None
    tell: bool
    """Whether people are to be told."""
    alert: Alert


def _finding(record: AssetCheckExecutionRecord) -> _Finding | None:
    """None for a check that had nothing to look at."""
    found = record.evaluation
    if found is None or "not_run" in found.metadata:
        return None
    details = {"asset": found.asset_key.to_user_string(), "check": found.check_name}
    details |= {"severity": found.severity.value.lower(), "run": record.run_id}
    worth = found.severity is dg.AssetCheckSeverity.ERROR or found.check_name in TOLD_OF
    alert = Alert(f"Check {found.check_name} did not pass", found.description or "", details)
    return _Finding(_name(record.key), found.passed, found.description, worth and not found.passed, alert)


def _checks(context: dg.SensorEvaluationContext) -> list[dg.AssetCheckKey]:
    """Every check of the code location. Results are read check by check: SQLite has no order of all events."""
    code = context.repository_def
    if code is None:
        raise dg.DagsterInvariantViolationError("alert_on_checks looks at the checks of a code location, and has none")
    return sorted(code.asset_graph.asset_check_keys, key=_name)


def _name(check: dg.AssetCheckKey) -> str:
    return f"{check.asset_key.to_user_string()}: {check.name}"


def _when(record: AssetCheckExecutionRecord) -> float:
    """When the check said it, which need not be in the order in which checks were planned."""
    return record.event.timestamp if record.event else record.create_timestamp


def _since(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, after: float | None
) -> list[AssetCheckExecutionRecord]:
    """What `check` said after `after`; all that it ever said where that is None."""
    found: list[AssetCheckExecutionRecord] = []
    cursor = None
    while True:
        page = instance.event_log_storage.get_asset_check_execution_history(check, PAGE, cursor, EVALUATED)
        new = [record for record in page if after is None or _when(record) > after]
        found += new
        if len(page) < PAGE or not new:
            return found
        cursor = page[-1].id


def _from_now_on(instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]) -> Told:
    history = instance.event_log_storage.get_asset_check_execution_history
    said = {_name(check): history(check, PAGE, None, EVALUATED) for check in checks}
    return Told({name: max(map(_when, records)) for name, records in said.items() if records})


def _read(cursor: str | None) -> Told | None:
    """None where checks were not looked at before, or the cursor counts events, as it did before checks were read one
    by one."""
    state: dict[str, Any] = json.loads(cursor) if cursor else {}
    if not isinstance(state.get("after"), dict):
        return None
    return Told(state["after"], state["told"], tuple(state.get("reached", ())))


def _cursor(told: Told, reason: str) -> dg.SensorResult:
    state = {"after": told.after, "told": told.findings, "reached": told.reached}
    return dg.SensorResult(skip_reason=reason, cursor=json.dumps(state, sort_keys=True))


def _silent(alerts: Alerts) -> dg.SkipReason | None:
    """Why nobody is told; None where somebody is."""
    try:
        return None if alerts.wanted else dg.SkipReason(NOT_SET)
    except SettingsError as error:
        return dg.SkipReason(str(error))
