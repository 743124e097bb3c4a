"""The generations: one a week, the current week included."""

import dagster as dg

from teams_dagster.settings import load_settings

GENERATIONS = dg.WeeklyPartitionsDefinition(
    start_date=load_settings().first_generation.isoformat(), day_offset=1, end_offset=1
)
"""Weekly from the first generation's Monday. `end_offset=1`: the week that has begun is a generation already."""
