"""Whether the ledger is the one that a data folder's outputs were made with, whole: found out before the first query.

A ledger that lost rows would pay again for what was answered, and nobody would be told. Three records know better: the
chain, which counts the rows that it seals; the head of the chain, which the data folder keeps; and the outputs, which
name the attempts that they rest on. Nothing is read but counts and a few ids, so that a step can look each time; rows
are counted once in a while, and whether the last ones are there is looked at each time.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa

from teams_dagster.core.files import write_atomically
from teams_dagster.ledger.budgets import PROJECT
from teams_dagster.ledger.database import LedgerLost, holds_ledger, ledger_id, naming_ledger, open_database
from teams_dagster.ledger.schema import HISTORY, attempts, seals, spending
from teams_dagster.store.artefacts import CURRENT, was_sealed
from teams_dagster.store.hash_chain import ROWS, head
from teams_dagster.store.tables import MANIFEST

CHAIN_HEAD = ".chain-head"
"""The file beside the assets that holds the head of the chain as it was last seen."""

_BOUGHT = ("transitions", "samples")
"""Tables of outputs whose rows name the attempts they rest on."""

COUNTED_FOR_S = 60.0
"""Seconds for which a process does not count the rows of a ledger again: to count a million takes 0.2 s."""

_counted_at: dict[str, float] = {}
"""When this process counted the rows of each ledger."""

_LOOKED_UP = 20
"""Attempts of an output that are looked for."""


@dataclass(frozen=True)
class KnownHead:
    """A head of the chain of a ledger, as a data folder keeps it."""

    ledger_id: str
    head: str


def require_kept_ledger(ledger_url: str, data_dir: Path, *, asking: bool = True) -> None:
    """Raises LedgerLost where the ledger at `ledger_url` lacks what the data folder's outputs were made with.

    `asking` says that it may be asked through: then the attempts that outputs name are looked for, too, where the
    folder is of a version that sealed nothing. Raises LedgerError where the ledger cannot be read.
    """
    if not find_kept_ledger(ledger_url, data_dir):
        return
    engine = open_database(ledger_url)
    try:
        require_kept_rows(engine, ledger_url, data_dir, asking=asking)
    finally:
        engine.dispose()


def require_kept_rows(engine: sa.Engine, ledger_url: str, data_dir: Path, *, asking: bool = True) -> None:
    """As `require_kept_ledger`, of a ledger that was there and is open: `engine` is the one at `ledger_url`."""
    known = known_head(data_dir)
    bought = list(_bought(data_dir)) if asking and not known and not was_sealed(data_dir) else []
    with naming_ledger(ledger_url), engine.connect() as connection:
        lacking = _lacking(connection, known, bought, data_dir) or (_lost_counter(connection) if asking else "")
    if lacking:
        raise LedgerLost.of(ledger_url, lacking)


def find_kept_ledger(ledger_url: str, data_dir: Path) -> bool:
    """Whether there is a ledger. Raises LedgerLost where there is none, and the data folder's outputs had one."""
    if holds_ledger(ledger_url):
        return True
    if known_head(data_dir) or was_sealed(data_dir) or any(_bought(data_dir)):
        raise LedgerLost.of(ledger_url, "is gone or empty")
    return False


def known_head(data_dir: Path) -> KnownHead | None:
    """The head that the data folder keeps; None where none was recorded, or the file is not what was written."""
    try:
        return KnownHead(**json.loads((data_dir / "assets" / CHAIN_HEAD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def keep_head(engine: sa.Engine, data_dir: Path) -> None:
    """Write down the head of the chain in the data folder. What it seals is durable by then."""
    with engine.connect() as connection:
        known = KnownHead(ledger_id(connection), head(connection))
    place = data_dir / "assets" / CHAIN_HEAD
    if known.head and known != known_head(data_dir) and place.parent.is_dir():
        write_atomically(place, json.dumps(asdict(known)) + "\n")


def forget_head(data_dir: Path) -> None:
    """Take away the head that the data folder keeps: its ledger is to be another, or an earlier one."""
    (data_dir / "assets" / CHAIN_HEAD).unlink(missing_ok=True)


def _lacking(connection: sa.Connection, known: KnownHead | None, bought: list[str], data_dir: Path) -> str:
    """What the ledger has not, as the end of a sentence about it; empty where nothing is known to be missing."""
    if lost := _lost_rows(connection):
        return lost
    if known is not None:
        if known.ledger_id != ledger_id(connection):
            return f"is another one than that of the outputs (its chain is not the one in {data_dir})"
        if connection.execute(sa.select(seals.c.seq).where(seals.c.head == known.head)).first() is None:
            return f"has lost rows, or is an older copy: it lacks the end of its chain, {known.head}"
    if bought:
        found = connection.execute(sa.select(attempts.c.request_id).where(attempts.c.request_id.in_(bought)))
        if missing := set(bought).difference(found.scalars()):
            return f"has lost rows: it lacks attempts that the outputs rest on, {min(missing)} for one"
    return ""


def _lost_rows(connection: sa.Connection) -> str:
    """The rows that the chain seals and that are not there, as the end of a sentence; empty where all are, it seems."""
    place, now = str(connection.engine.url), time.monotonic()
    sealed = _sealed_rows(connection)
    counts = now - _counted_at.get(place, -math.inf) >= COUNTED_FOR_S
    for table in HISTORY:
        if table.name not in sealed:
            continue
        rows, last_seq = sealed[table.name]
        last = connection.execute(sa.select(sa.func.max(table.c.seq))).scalar_one() or 0
        if counts or last < last_seq:
            there = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            if there < rows or last < last_seq:
                end = "" if last >= last_seq else ", and not the last one"
                return f"has lost rows: its table {table.name} has {there:,} of at least {rows:,}{end}"
    if counts:
        _counted_at[place] = now
    return ""


def _lost_counter(connection: sa.Connection) -> str:
    """What budgets count must be there where something was reserved: the chain does not seal it."""
    counted = connection.execute(sa.select(spending.c.scope).where(spending.c.scope == PROJECT)).first()
    reserved = sa.select(attempts.c.seq).where(attempts.c.reserved_tokens.is_not(None)).limit(1)
    if counted is not None or connection.execute(reserved).first() is None:
        return ""
    return "has lost rows: its table spending lacks what the project's budgets count, and there are attempts"


def _sealed_rows(connection: sa.Connection) -> dict[str, tuple[int, int]]:
    """Of each table, how many rows the chain seals, and the `seq` of the last one."""
    of_table = sa.select(seals.c.name, sa.func.sum(seals.c.rows), sa.func.max(seals.c.last_seq))
    found = connection.execute(of_table.where(seals.c.kind == ROWS).group_by(seals.c.name))
    return {name: (int(rows), last_seq) for name, rows, last_seq in found}


def _bought(data_dir: Path) -> Iterator[str]:
    """A few attempts that each current output rests on."""
    import pyarrow.parquet as pq

    for pointer in sorted((data_dir / "assets").glob(f"**/{CURRENT}")):
        folder = pointer.parent / pointer.read_text(encoding="utf-8").strip()
        for table in _BOUGHT:
            file = folder / f"{table}.parquet"
            if not ((folder / MANIFEST).is_file() and file.is_file()):
                continue
            with pq.ParquetFile(file) as opened:
                named = [name for name in opened.schema_arrow.names if name.endswith("_request_id")]
                for batch in opened.iter_batches(_LOOKED_UP, columns=named):
                    yield from (name for column in batch.columns for name in column.to_pylist() if name)
                    break
