"""The searches by the names of the policies they find."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from teams_dagster.core.hashing import content_hash
from teams_dagster.environment.decisions import Actor
from teams_dagster.policy.baselines import BANDIT, OPEN_LOOP, TABLE, baseline_version
from teams_dagster.policy.searched.bandit import search_bandit
from teams_dagster.policy.searched.open_loop import OpenLoop, search_open_loop
from teams_dagster.policy.searched.table import search_table
from teams_dagster.policy.searched.trial import Trial


class Searched(Actor, Protocol):
    """A policy that was found by a search."""

    @property
    def version(self) -> str:
        """Content hash of what was found."""
        ...


SEARCHES: dict[str, Callable[[Trial], Coroutine[Any, Any, Searched]]] = {
    OPEN_LOOP: search_open_loop,
    BANDIT: search_bandit,
    TABLE: search_table,
}


def searched_version(name: str, root_seed: int, found: Searched) -> str:
    """The policy version that its transitions carry: of the search, its random streams, and what it found."""
    return content_hash(baseline_version(name), root_seed, found.version)


def never_draws(found: Searched) -> bool:
    """Whether all episodes of what was found are alike from one seed (the answers being the same)."""
    return isinstance(found, OpenLoop)
