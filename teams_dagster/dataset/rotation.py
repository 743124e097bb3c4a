"""Which seeds have their turn in a weekly generation, where each is to be rewritten only every few weeks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from teams_dagster.core.rng import uniform

LONGEST = 520
"""Weeks that a rotation lasts at most: ten years."""


class NoSeedHasItsTurn(ValueError):
    """A rotation over more weeks than there are seeds to fill."""


def seeds_in_turn(seed_ids: Iterable[str], weeks: int, root_seed: int, partition_key: str) -> list[str]:
    """The seeds whose turn it is in the generation of `partition_key`, in the order given.

    A seed's week is drawn from the root seed and its id alone. So any `weeks` generations in a row have every seed
    exactly once between them, in whatever order they are made, and a seed that is added to the file moves no other.
    The shares are alike in size, not equal.

    Args:
        weeks: Weeks in which every seed has one turn; with 1 every generation has all of them.
        partition_key: The Monday that the generation begins on, as YYYY-MM-DD.

    Raises:
        NoSeedHasItsTurn: No seed falls on this week.
    """
    known = list(seed_ids)
    week = date.fromisoformat(partition_key).toordinal() // 7 % weeks
    chosen = [seed_id for seed_id in known if _week_of(seed_id, weeks, root_seed) == week]
    if not chosen:
        raise NoSeedHasItsTurn(
            f"none of {len(known)} seeds has its turn in generation {partition_key} of a rotation over {weeks} weeks:"
            " set TEAMS_SEED_ROTATION_WEEKS to fewer weeks, or add seeds"
        )
    return chosen


def _week_of(seed_id: str, weeks: int, root_seed: int) -> int:
    return min(int(uniform(root_seed, "rotation", seed_id) * weeks), weeks - 1)
