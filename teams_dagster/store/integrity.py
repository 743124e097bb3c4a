"""Whether what is stored is what was written: the hash of every row, the chain that seals them, the files of artefacts.

Heads of the chain that were recorded elsewhere must still be in it. Who rewrites the data, the chain and the record
together is not found: keep a head where they cannot reach it.

A verification counts the rows that agree, names differences, and says what could not be verified.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from teams_dagster.core.files import file_sha256
from teams_dagster.core.row_hash import ROW_HASH, batch_hashes
from teams_dagster.ledger.budgets import PROJECT, recount, spent_by
from teams_dagster.ledger.database import ledger_id, open_database, read_snapshot
from teams_dagster.ledger.schema import HISTORY
from teams_dagster.store.artefacts import (
    CompleteArtefact,
    cleaned_files,
    complete,
    sealed_name,
    store_id,
    stored_artefacts,
)
from teams_dagster.store.hash_chain import ARTEFACT, BEGINNING, ROWS, Link, content_of_rows, read_links
from teams_dagster.store.kept_ledger import find_kept_ledger
from teams_dagster.store.source import HashedRow, hashed_rows
from teams_dagster.store.tables import MANIFEST, ROWS_AT_ONCE

TOLERANCE = 1e-6
"""Probabilities and rewards are computed again on another machine: they agree within this. All else is exact."""


LATER_COLUMNS = frozenset(
    {
        *("chosen_by", "proposed", "guide_request_id", "unread_request_id", "guidance_queries"),
        *("verdict_probability", "turned_review_request_id", "orders_agree", "order_difference"),
    }
)
"""Columns of `transitions` that files written before guides were asked, or verdicts had a probability, do not have."""


KEPT = 1_000
"""Differences that are kept with their values; of more, only the number."""


@dataclass(frozen=True)
class Difference:
    """A stored field that is not what it should be."""

    table: str
    row_id: str
    column: str
    stored: Any
    found: Any
    source: str = "the ledger's answers give"
    """What says otherwise."""

    def __str__(self) -> str:
        return (
            f"{self.table} {self.row_id}: {self.column} is stored as {self.stored!r}, and {self.source} {self.found!r}"
        )


@dataclass
class Verification:
    """What was found. `not_verified` counts rows by the reason why they could not be verified."""

    verified: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list[Difference])
    """The first ones."""
    not_verified: dict[str, int] = field(default_factory=dict[str, int])

    def compare(self, table: str, row_id: str, stored: Mapping[str, Any], replayed: Mapping[str, Any]) -> None:
        """Compare one row, column by column; columns that tables did not have yet when it was written are left out."""
        found = [
            Difference(table, row_id, column, stored.get(column), value)
            for column, value in replayed.items()
            if not (column in LATER_COLUMNS and column not in stored) and not _agree(stored.get(column), value)
        ]
        for difference in found:
            self.differ(difference)
        self.verified += not found

    def differ(self, difference: Difference) -> None:
        """Count a difference, and keep it while there is room."""
        self.differing += 1
        if len(self.differences) < KEPT:
            self.differences.append(difference)

    def add(self, other: Verification) -> None:
        """Count what `other` counted."""
        self.verified += other.verified
        self.differing += other.differing
        self.differences += other.differences[: KEPT - len(self.differences)]
        for reason, rows in other.not_verified.items():
            self.skip(reason, rows)

    def skip(self, reason: str, rows: int = 1) -> None:
        """Count rows that could not be verified."""
        self.not_verified[reason] = self.not_verified.get(reason, 0) + rows


def _agree(stored: Any, replayed: Any) -> bool:
    if isinstance(stored, float) and isinstance(replayed, float):
        return math.isclose(stored, replayed, rel_tol=0, abs_tol=TOLERANCE)
    return stored == replayed


GONE = "artefacts that were sealed and are gone"
REMOVED = "files of superseded outputs that teams clean removed"
OF_ANOTHER = "heads recorded of another ledger than the one that is here"
NOT_SEALED = "artefacts made since the chain was last extended"

_REPORT_EVERY = 500_000


@dataclass(frozen=True)
class RecordedHead:
    """A head of the chain as it was recorded outside the data folder."""

    head: str
    ledger_id: str
    where: str
    """Where and when, for people."""


def verify_storage(
    ledger_url: str,
    data_dir: Path,
    recorded: Iterable[RecordedHead],
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Compare every row of the ledger and every file of the artefacts with their hashes, and those with the chain.

    Counts rows and files. Raises LedgerError for a ledger that cannot be read as one, and LedgerLost where there is
    none and the data folder's outputs had one.
    """
    found = Verification()
    artefacts = complete(stored_artefacts(data_dir))
    find_kept_ledger(ledger_url, data_dir)
    engine = open_database(ledger_url)
    try:
        with read_snapshot(engine) as ledger:
            chain = read_links(ledger)
            _verify_chain(chain, recorded, ledger_id(ledger), found)
            links = [link for link, _ in chain]
            for table in HISTORY:
                sealed = [link for link in links if (link.kind, link.name) == (ROWS, table.name)]
                _verify_rows(ledger, table, sealed, found, progress)
            _verify_spending(ledger, found)
    finally:
        engine.dispose()
    store = store_id(data_dir)
    sealed = {link.name: link.content for link in links if link.kind == ARTEFACT and link.name.startswith(f"{store}/")}
    there = {sealed_name(store, data_dir, artefact.folder): artefact for artefact in artefacts}
    _verify_artefacts(sealed, there, data_dir, found)
    return found


def _verify_chain(
    chain: Sequence[tuple[Link, str]], recorded: Iterable[RecordedHead], ledger: str, found: Verification
) -> None:
    """Each link names the head before it, and every head that was recorded is one of the chain's."""
    previous, heads = BEGINNING, {BEGINNING}
    for number, (link, head) in enumerate(chain, 1):
        for column, stored, computed in (("previous", link.previous, previous), ("head", head, link.head)):
            if stored != computed:
                found.differ(
                    Difference("seals", f"link {number}", column, stored, computed, "the links before it give")
                )
        previous = head
        heads.add(head)
    for known in recorded:
        if known.ledger_id != ledger:
            found.skip(OF_ANOTHER)
        elif known.head not in heads:
            found.differ(
                Difference("seals", "the chain", "heads", f"{len(chain)} links", known.head, f"{known.where} recorded")
            )


def _verify_spending(ledger: sa.Connection, found: Verification) -> None:
    """What budgets count as spent is what the attempts add up to. No link seals it: it changes with every call."""
    stored, added_up = spent_by(ledger, PROJECT), recount(ledger)
    for column in ("queries", "tokens", "nano_usd"):
        counted, is_due = getattr(stored, column), getattr(added_up, column)
        if counted != is_due:
            found.differ(Difference("spending", PROJECT, column, counted, is_due, "the attempts add up to"))


def _verify_rows(
    ledger: sa.Connection,
    table: sa.Table,
    links: Sequence[Link],
    found: Verification,
    progress: Callable[[str], None],
) -> None:
    """Every row has the hash it carries, and each link seals the rows that it did."""
    ends = [link.last_seq or 0 for link in links]
    contents: dict[int, tuple[str, int]] = {}
    rows = _reported(hashed_rows(ledger, table), table.name, progress)
    for number, group in groupby(rows, key=lambda row: bisect_left(ends, row.seq)):
        contents[number] = content_of_rows(_checked(table.name, group, found))
    for number, link in enumerate(links):
        content, count = contents.get(number, ("", 0))
        place = f"rows {link.first_seq} to {link.last_seq}"
        if count != link.rows:
            found.differ(Difference(table.name, place, "their number", link.rows, count, "there are"))
        elif content != link.content:
            found.differ(Difference(table.name, place, "their hash", link.content, content, "they have"))


def _checked(table: str, rows: Iterable[HashedRow], found: Verification) -> Iterator[str]:
    for row in rows:
        if row.stored == row.computed:
            found.verified += 1
        else:
            found.differ(Difference(table, f"row {row.seq}", ROW_HASH, row.stored, row.computed, "its fields have"))
        yield row.stored


def _reported(rows: Iterator[HashedRow], table: str, progress: Callable[[str], None]) -> Iterator[HashedRow]:
    for number, row in enumerate(rows, 1):
        if number % _REPORT_EVERY == 0:
            progress(f"{number:,} rows of {table} compared with their hashes")
        yield row


def _verify_artefacts(
    sealed: dict[str, str], there: dict[str, CompleteArtefact], data_dir: Path, found: Verification
) -> None:
    """Manifests are as they were sealed, and files as their manifests say."""
    for name, content in sealed.items():
        _, _, place = name.partition("/")
        artefact = there.get(name)
        if artefact is not None and artefact.manifest_sha256 == content:
            _verify_files(artefact, place, found)
        elif artefact is not None:
            row = Difference("artefact", place, MANIFEST, content, artefact.manifest_sha256, "its content has")
            found.differ(row)
        elif (data_dir / place).exists():
            found.differ(Difference("artefact", place, MANIFEST, content, None, "it cannot be read as one:"))
        else:
            found.skip(GONE)
    for name in there.keys() - sealed.keys():
        found.skip(NOT_SEALED)
        _verify_files(there[name], name.partition("/")[2], found)


def _verify_files(artefact: CompleteArtefact, place: str, found: Verification) -> None:
    """Files are as the manifest says. Only of an output that is superseded may any have been removed on purpose."""
    folder = artefact.folder
    removed = {} if artefact.current else cleaned_files(folder)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for name, digest in manifest.get("files", {}).items():
        actual = file_sha256(folder / name) if (folder / name).is_file() else None
        if actual == digest:
            found.verified += 1
            continue
        if actual is None and removed.get(name) == digest:
            found.skip(REMOVED)
            continue
        changed = list(_changed_rows(folder / name)) if actual and name.endswith(".parquet") else []
        for row in changed:
            found.differ(Difference(f"{place}/{name}", *row, "its fields have"))
        if not changed:
            found.differ(Difference("file", f"{place}/{name}", "SHA-256", digest, actual, "its content has"))


def _changed_rows(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """The rows of a changed Parquet file whose hash is not that of their fields: (row, column, stored, computed)."""
    try:
        first = 0
        for batch in pq.ParquetFile(path).iter_batches(ROWS_AT_ONCE):
            if ROW_HASH not in batch.schema.names:
                return
            stored = batch.column(ROW_HASH).to_pylist()
            for number, (carried, computed) in enumerate(zip(stored, batch_hashes(path.stem, batch), strict=True)):
                if carried != computed:
                    yield f"row {first + number}", ROW_HASH, carried, computed
            first += batch.num_rows
    except (pa.ArrowException, OSError, TypeError, ValueError):
        return  # it is no Parquet file any more: the file's own hash says so
