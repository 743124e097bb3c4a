"""Sensors that tell people: of runs that failed, and of checks that found something."""

import json
from collections.abc import Iterator, Mapping

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from resources.alerts import NOT_SET, Alert, Alerts
from teams_dagster.settings import SettingsError

TOLD_OF = frozenset({"spending_is_within_budget", "budget_has_room", "edits_do_not_drift", "answers_do_not_drift"})
"""Checks whose warnings are worth a message; of the others, only errors are."""

AT_ONCE = 500
"""Check results that one tick reads."""

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
    """One message a run, with the first step's error: its first line says what was wrong and what to do."""
    if (silent := _silent(alerts)) is not None:
        return silent
    run, reasons = context.dagster_run, list(_reasons(context))
    if any(kind == GOES_ON for kind, _ in reasons):
        return dg.SkipReason(f"run {run.run_id} waits for its batches: collect_batches goes on with it")
    _, why = reasons[0] if reasons else ("", context.failure_event.message or "nothing is known of why")
    steps = [event.step_key or "" for event in context.get_step_failure_events()]
    details = {"job": run.job_name, "step": ", ".join(steps), "partition": run.tags.get("dagster/partition", "")}
    details = {name: value for name, value in (details | {"run": run.run_id}).items() if value}
    alerts.send(Alert(f"Run of {run.job_name} failed{f' in {steps[0]}' if steps else ''}", why, details))
    return None


def _reasons(context: dg.RunFailureSensorContext) -> Iterator[tuple[str, str]]:
    """Kind and message of what failed each step: the innermost error first, which is the one with the advice."""
    for event in context.get_step_failure_events():
        failure = event.step_failure_data
        if failure.user_failure_data is not None and failure.user_failure_data.description:
            yield "Failure", failure.user_failure_data.description
        yield from reversed([*_causes(failure.error)])


def _causes(error: SerializableErrorInfo | None) -> Iterator[tuple[str, str]]:
    while error is not None:
        kind = (error.cls_name or "").rpartition(".")[2]
        yield kind, error.message.strip().removeprefix(f"{error.cls_name}: ")
        error = error.cause


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Tells TEAMS_ALERT_WEBHOOK_URL or TEAMS_ALERT_MAIL_TO of asset checks that found an error, little"
    " budget left, or a generation that drifted; once for each finding. Off until switched on.",
)
def alert_on_checks(context: dg.SensorEvaluationContext, alerts: Alerts) -> dg.SensorResult | dg.SkipReason:
    """What the checks said since the last tick; of what they said before the sensor was switched on, nothing.

    The cursor moves when everything was sent, so that a message that did not arrive is sent by the next tick.
    """
    if (silent := _silent(alerts)) is not None:
        return silent
    state = json.loads(context.cursor) if context.cursor else None
    after: int | None = state["after"] if state else None
    records = _evaluations(context.instance, after, 1 if state is None else AT_ONCE, ascending=state is not None)
    if state is None:
        return _cursor(records[0].storage_id if records else 0, {}, "from now on checks are looked at")
    told, sent = dict(state["told"]), 0
    for record in records:
        event = record.event_log_entry.dagster_event
        found = event.asset_check_evaluation_data if event else None
        if found is None or "not_run" in found.metadata:
            continue
        name = f"{found.asset_key.to_user_string()}: {found.check_name}"
        if found.passed:
            told.pop(name, None)
        elif _worth_telling(found) and told.get(name) != found.description:
            details = {"asset": found.asset_key.to_user_string(), "check": found.check_name}
            details |= {"severity": found.severity.value.lower(), "run": record.event_log_entry.run_id}
            alerts.send(Alert(f"Check {found.check_name} did not pass", found.description or "", details))
            told[name], sent = found.description, sent + 1
    last = records[-1].storage_id if records else after or 0
    return _cursor(last, told, f"{len(records)} results of checks, {sent} told of")


def _evaluations(
    instance: dg.DagsterInstance, after: int | None, limit: int, *, ascending: bool
) -> list[dg.EventLogRecord]:
    wanted = dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION, after_cursor=after)
    return list(instance.get_event_records(wanted, limit=limit, ascending=ascending))


def _worth_telling(found: dg.AssetCheckEvaluation) -> bool:
    return found.severity is dg.AssetCheckSeverity.ERROR or found.check_name in TOLD_OF


def _cursor(after: int, told: Mapping[str, str | None], reason: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=json.dumps({"after": after, "told": told}, sort_keys=True))


def _silent(alerts: Alerts) -> dg.SkipReason | None:
    """Why nobody is told; None where somebody is."""
    try:
        return None if alerts.wanted else dg.SkipReason(NOT_SET)
    except SettingsError as error:
        return dg.SkipReason(str(error))
