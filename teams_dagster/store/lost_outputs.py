"""Outputs that the ledger's chain sealed and that are no longer in the data folder, while the ledger is whole.

They are made again from the ledger's answers, with no query that is answered; somebody should be told that they went.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import sqlalchemy as sa

from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.schema import seals
from teams_dagster.store.artefacts import store_id, was_sealed
from teams_dagster.store.hash_chain import ARTEFACT
from teams_dagster.store.tables import MANIFEST

_SHOWN = 4


def lost_outputs(engine: sa.Engine, ledger_url: str, data_dir: Path) -> list[str]:
    """The assets (with their partition) of which the chain sealed outputs and the data folder has none, in order.

    Of a ledger that several data folders share, only outputs that this folder is known to have had count.
    """
    names = sa.select(seals.c.name).where(seals.c.kind == ARTEFACT)
    with engine.connect() as connection:
        sealed = [PurePosixPath(name) for name in connection.execute(names).scalars()]
    if ledger_url != sqlite_url(data_dir / "ledger.sqlite"):
        own = store_id(data_dir) if was_sealed(data_dir) else None
        sealed = [name for name in sealed if name.parts[0] == own]
    places = dict.fromkeys(name.parent.relative_to(name.parts[0]) for name in sealed)
    gone = (place for place in places if not any((data_dir / place).glob(f"[!.]*/{MANIFEST}")))
    return [" ".join(place.parts[1:]) for place in gone]


def lost_line(lost: list[str], data_dir: Path) -> str:
    """What to say of outputs that are gone."""
    shown = ", ".join(lost[:_SHOWN]) + (f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else "")
    return (
        f"the outputs of {shown} are gone from {data_dir / 'assets'}, and the ledger that they were made with is there:"
        " running again makes them anew from its answers, and sends no query that is answered. A backup has them as"
        " they were: teams restore"
    )
