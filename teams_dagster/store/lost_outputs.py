"""Outputs that the ledger's chain sealed and that are no longer in the data folder, while the ledger is whole.

They are made again from the ledger's answers, with no query that is answered; somebody should be told that they went.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import sqlalchemy as sa

from teams_dagster.ledger.database import holds_ledger, open_database, sqlite_url
from teams_dagster.ledger.schema import seals
from teams_dagster.store.artefacts import sealed_name, store_id, was_sealed
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


def sealed_folders(ledger_url: str, data_dir: Path, place: Path) -> set[str]:
    """The names of folders in `place` that the chain sealed an output under, those that are gone included."""
    if not (was_sealed(data_dir) and holds_ledger(ledger_url)):
        return set()
    within = f"{sealed_name(store_id(data_dir), data_dir, place)}/"
    engine = open_database(ledger_url)
    try:
        with engine.connect() as connection:
            names = sa.select(seals.c.name).where(
                seals.c.kind == ARTEFACT, seals.c.name.startswith(within, autoescape=True)
            )
            return {name.removeprefix(within) for name in connection.execute(names).scalars()}
    finally:
        engine.dispose()


def lost_line(lost: list[str], data_dir: Path) -> str:
    """What to say of outputs that are gone."""
    shown = ", ".join(lost[:_SHOWN]) + (f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else "")
    return (
        f"the outputs of {shown} are gone from {data_dir / 'assets'}, and the ledger that they were made with is there:"
        " running again makes them anew from its answers, and sends no query that is answered. A backup has them as"
        " they were: teams restore"
    )
