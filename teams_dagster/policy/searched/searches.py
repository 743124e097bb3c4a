"""The searches by the names of the policies they find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from teams_dagster.environment.decisions import Actor
from teams_dagster.policy.baselines import BANDIT, OPEN_LOOP, TABLE
from teams_dagster.policy.searched.bandit import search_bandit
from teams_dagster.policy.searched.open_loop import OpenLoop, search_open_loop
from teams_dagster.policy.searched.table import search_table
from teams_dagster.policy.searched.trial import Trial

SEARCHES: dict[str, Callable[[Trial], Awaitable[Actor]]] = {
    OPEN_LOOP: search_open_loop,
    BANDIT: search_bandit,
    TABLE: search_table,
}


def never_draws(found: Actor) -> bool:
    """Whether all episodes of what was found are alike from one seed (the answers being the same)."""
    return isinstance(found, OpenLoop)
