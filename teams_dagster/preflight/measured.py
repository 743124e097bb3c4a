"""What a preflight says of the episodes to come, so that they can be estimated before the first of them."""

from __future__ import annotations

from teams_dagster.policy.query_forecast import UNTRAINED, EpisodeStats
from teams_dagster.preflight.record import RoleRecord


def episode_stats(record: RoleRecord | None) -> EpisodeStats | None:
    """What an untrained episode asks and gains with the rewriter that was tried.

    None where none was, or where nothing of what it wrote was reviewed: then nothing is known of acceptance.
    """
    operations = record.operations if record else ()
    asked, reviewed = sum(one.asked for one in operations), sum(one.reviewed for one in operations)
    if not reviewed:
        return None
    rewrites = UNTRAINED.rewrites
    reviews = rewrites * reviewed / asked
    accepted = rewrites * sum(one.accepted for one in operations) / asked
    return EpisodeStats(rewrites, reviews, rewrites, reviews, accepted)
