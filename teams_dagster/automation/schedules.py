"""What begins by the calendar. Every schedule is off until it is switched on."""

import dagster as dg

from assets.partitions import GENERATIONS
from teams_dagster.automation.jobs import regenerate


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
