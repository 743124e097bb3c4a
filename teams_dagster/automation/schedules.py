"""What begins by the calendar. Every schedule is off until it is switched on."""

import dagster as dg

from assets.partitions import GENERATIONS
from teams_dagster.automation.jobs import regenerate, train_policy


@dg.schedule(
    job=regenerate,
    cron_schedule="0 3 * * 1",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every Monday at 03:00 UTC, the week that has just begun. Off until switched on: it may cost money.",
)
def weekly_generation(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Launch the generation of the week that the tick falls in."""
    week = GENERATIONS.get_partition_key_for_timestamp(context.scheduled_execution_time.timestamp())
    return dg.RunRequest(run_key=week, partition_key=week)


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
