"""How old what the project delivers may be: overdue in the UI after that, where a number of days is set."""

from datetime import timedelta

import dagster as dg

from teams_dagster.settings import load_settings


def freshness() -> dg.FreshnessPolicy | None:
    """The policy of dataset and scores; None, which asks nothing of them, unless `TEAMS_FRESH_DAYS` is set."""
    days = load_settings().fresh_days
    return None if days is None else dg.FreshnessPolicy.time_window(fail_window=timedelta(days=days))
