"""What asking needs of the machine, before the first query: room on the disk, and a clock that goes forward."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from teams_dagster.ledger.database import now
from teams_dagster.ledger.schema import attempts

LEAST_BYTES = 100_000_000
"""What stays free whatever is asked: a step that runs out of room has to write that down, too."""

BYTES_A_QUERY, BYTES_A_TOKEN = 4_000, 8
"""What a query takes in ledger, read model and outputs, and its texts: twice what a ledger of a million has of each."""

LATE = timedelta(minutes=1)
"""How far clocks of several machines may differ."""


class NoRoom(Exception):
    """A disk that is too full to begin. The message names the setting whose folder is there."""


def bytes_needed(queries: int, tokens: int) -> int:
    """Room that a step should find which asks so much."""
    return LEAST_BYTES + queries * BYTES_A_QUERY + tokens * BYTES_A_TOKEN


def require_room(folders: Mapping[str, Path], needed: int) -> None:
    """Raises NoRoom where a disk has less than `needed` bytes free.

    Args:
        folders: By setting, the folder that it names; where it does not exist yet, the disk is that of the nearest one
            above it that does.
        needed: See `bytes_needed`.
    """
    for setting, folder in folders.items():
        there = next(place for place in (folder, *folder.parents) if place.exists())
        free = shutil.disk_usage(there).free
        if free < needed:
            raise NoRoom(
                f"{setting}: the disk of {folder} has {free / 1e6:,.0f} MB free, and this step may need"
                f" {needed / 1e6:,.0f} MB: make room there (`teams clean` says what can go), or set {setting} to"
                " another disk. Nothing was asked"
            )


def clock_behind(engine: sa.Engine) -> str:
    """Says so where the clock is behind the ledger's last attempt: it was set back, or once ran ahead; else empty.

    Claims of processes that ended then last until the clock has caught up, and what is the latest is told wrongly.
    """
    last = sa.select(attempts.c.started_at).order_by(attempts.c.seq.desc()).limit(1)
    with engine.connect() as connection:
        latest, present = connection.execute(last).scalar_one_or_none(), now(connection)
    if latest is None or latest - present <= LATE / timedelta(microseconds=1):
        return ""
    return (
        f"the clock says {_moment(present)}, and the ledger's last attempt was begun at {_moment(latest)}: set the"
        " clock right before going on; what is the latest, and how long another process is waited for, is told by it"
    )


def _moment(microseconds: int) -> str:
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"
