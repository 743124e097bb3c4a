"""What begins by the calendar. Every schedule is off until it is switched on."""

# Dagster's own signatures leave generics open:
# pyright: reportUnknownMemberType=false

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorType, ScheduleInstigatorData

from assets.partitions import GENERATIONS
from teams_dagster.automation.jobs import regenerate, train_policy
from teams_dagster.automation.runs import PARTITION

MOST_AT_ONCE = 5
"""Generations that one tick launches at most: its own, and those before it whose ticks the daemon missed."""


@dg.schedule(
    job=regenerate,
    cron_schedule="0 3 * * 1",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every Monday at 03:00 UTC, the week that has just begun, and up to four before it that the daemon"
    " missed since the schedule was switched on. Off until switched on: it may cost money.",
)
def weekly_generation(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
    """Launch the generation of the week that the tick falls in, after those whose ticks were missed.

    Dagster evaluates only the latest of the ticks that a daemon missed, so the others are looked for here: weeks since
    the schedule was switched on that no run was ever launched for.
    """
    now = context.scheduled_execution_time.astimezone(UTC)
    missed = [week for week in _weeks_before(now, _switched_on(context)) if not _was_launched(context.instance, week)]
    return [dg.RunRequest(run_key=week, partition_key=week) for week in (*missed, _week_of(now))]


def _week_of(moment: datetime) -> str:
    return GENERATIONS.get_partition_key_for_timestamp(moment.timestamp())


def _weeks_before(now: datetime, since: datetime | None) -> list[str]:
    """The weeks whose tick lies between `since` and `now`, the earliest first; none where `since` is not known."""
    if since is None:
        return []
    ticks = [now - timedelta(weeks=back) for back in range(MOST_AT_ONCE - 1, 0, -1)]
    return [_week_of(tick) for tick in ticks if tick > since]


def _switched_on(context: dg.ScheduleEvaluationContext) -> datetime | None:
    """When the schedule was; None where the instance does not say."""
    for state in context.instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE):
        data = state.instigator_data
        if state.instigator_name == weekly_generation.name and isinstance(data, ScheduleInstigatorData):
            return datetime.fromtimestamp(data.start_timestamp, UTC) if data.start_timestamp else None
    return None


def _was_launched(instance: dg.DagsterInstance, week: str) -> bool:
    """By whomever, and however it ended: a run that failed is a person's to launch again."""
    return bool(instance.get_run_records(dg.RunsFilter(tags={PARTITION: week}), limit=1))


@dg.schedule(
    job=train_policy,
    cron_schedule="0 1 1 * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="The first of each month at 01:00 UTC: trains the policy where seeds, models or settings changed since;"
    " what has not changed is reused. Off until switched on: it may cost money.",
)
def monthly_policy() -> dg.RunRequest:
    """Launch the training of the policy. Generations that exist keep theirs."""
    return dg.RunRequest()
