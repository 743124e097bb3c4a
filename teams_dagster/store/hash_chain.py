"""The chain: what is stored is sealed, link by link, so that a later change of it can be told.

A link seals the rows that a table of the ledger gained since the link before, or one artefact by the hash of its
manifest (which holds the hash of each of its files), and the head of the link before it. The last head stands for
everything. It lies in the same database as what it seals, so it proves something to whoever has a head from elsewhere:
Dagster's event log records it at every refresh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from teams_dagster.core.hashing import ID_LENGTH, content_hash
from teams_dagster.ledger.database import now, write_transaction
from teams_dagster.ledger.schema import HISTORY, seals
from teams_dagster.store.source import row_hashes

ROWS, ARTEFACT = "rows", "artefact"

BEGINNING = ""
"""What the first link has for a head before it."""


@dataclass(frozen=True)
class Link:
    """One link of the chain."""

    kind: str
    """`rows` or `artefact`."""
    name: str
    """A table of the ledger, or an artefact."""
    content: str
    """Hash of the rows' hashes in their order, or of the artefact's manifest."""
    previous: str
    """The head before it."""
    sealed_at: int
    """Microseconds since the epoch."""
    first_seq: int | None = None
    last_seq: int | None = None
    rows: int | None = None

    @property
    def head(self) -> str:
        """The hash of this link, and through it of all before it."""
        places = (self.first_seq, self.last_seq, self.rows)
        return content_hash("seal", self.kind, self.name, self.content, self.previous, self.sealed_at, *places)


@dataclass(frozen=True)
class Sealed:
    """What a sealing did."""

    head: str
    """The head of the chain now; `BEGINNING` where nothing was ever stored."""
    added: int
    """Links added."""


def seal(engine: sa.Engine, artefacts: Iterable[tuple[str, str]]) -> Sealed:
    """Add what the ledger gained since the last link, and the `artefacts` (name, hash of the manifest) not sealed yet.

    Rows are read outside the transaction that adds the links, so writers do not wait for it.
    """
    offered = list(artefacts)
    while True:
        with engine.connect() as connection:
            before = head(connection)
            drafts = [*_new_rows(connection), *_new_artefacts(connection, offered)]
        if not drafts:
            return Sealed(before, 0)
        with write_transaction(engine) as connection:
            if head(connection) != before:
                continue  # another process has added links meanwhile
            links = _linked(drafts, before, now(connection))
            connection.execute(sa.insert(seals), [_row(link) for link in links])
            return Sealed(links[-1].head, len(links))


def head(connection: sa.Connection) -> str:
    """The head of the chain."""
    last = sa.select(seals.c.head).order_by(seals.c.seq.desc()).limit(1)
    return connection.execute(last).scalar_one_or_none() or BEGINNING


def read_links(connection: sa.Connection) -> list[tuple[Link, str]]:
    """The chain, in order: each link, and the head that is stored with it."""
    names = list(Link.__dataclass_fields__)
    found = connection.execute(sa.select(*(seals.c[name] for name in names), seals.c.head).order_by(seals.c.seq))
    return [(Link(**{name: row[name] for name in names}), row["head"]) for row in found.mappings()]


def content_of_rows(hashes: Iterable[str]) -> tuple[str, int]:
    """The content of a link over rows with these hashes, and how many they are."""
    digest, count = hashlib.sha256(), 0
    for row in hashes:
        digest.update(row.encode())
        count += 1
    return digest.hexdigest()[:ID_LENGTH], count


def _new_rows(connection: sa.Connection) -> Iterable[dict[str, Any]]:
    """What each table gained, as links to be."""
    for table in HISTORY:
        sealed = sa.select(sa.func.max(seals.c.last_seq)).where(seals.c.kind == ROWS, seals.c.name == table.name)
        first = (connection.execute(sealed).scalar_one() or 0) + 1
        last = connection.execute(sa.select(sa.func.max(table.c.seq))).scalar_one() or 0
        if last >= first:
            content, rows = content_of_rows(row_hashes(connection, table, first, last))
            places = {"first_seq": first, "last_seq": last, "rows": rows}
            yield {"kind": ROWS, "name": table.name, "content": content, **places}


def _new_artefacts(connection: sa.Connection, offered: Sequence[tuple[str, str]]) -> Iterable[dict[str, Any]]:
    known = set(connection.execute(sa.select(seals.c.name).where(seals.c.kind == ARTEFACT)).scalars())
    for name, manifest_sha256 in offered:
        if name not in known:
            yield {"kind": ARTEFACT, "name": name, "content": manifest_sha256}


def _linked(drafts: Sequence[dict[str, Any]], previous: str, sealed_at: int) -> list[Link]:
    links: list[Link] = []
    for draft in drafts:
        links.append(Link(**draft, previous=previous, sealed_at=sealed_at))
        previous = links[-1].head
    return links


def _row(link: Link) -> dict[str, Any]:
    return {name: getattr(link, name) for name in (*Link.__dataclass_fields__, "head")}
