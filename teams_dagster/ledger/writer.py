"""The ledger as a process sees it: one writer thread, group commit, each caller released when its rows are durable.

Everything that is pending is written in one transaction: an fsync per row would cost the speed target. The same thread
renews the lease of this process's claims.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import socket
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError

from teams_dagster.core.protocol import Message
from teams_dagster.ledger import schema
from teams_dagster.ledger.budgets import PROJECT, Spent, spent_by
from teams_dagster.ledger.database import LedgerError, now, open_database, reason, write_transaction
from teams_dagster.ledger.entries import AttemptFailed, BeginAttempt, Entry, SettleAttempt, bounded_scopes
from teams_dagster.ledger.inserts import upsert
from teams_dagster.ledger.known import (
    Known,
    LookedUp,
    anything_known,
    known_ids,
    live_claims,
    spending_of,
    stored_answers,
)
from teams_dagster.ledger.owners import LEASE_S, RENEW_EVERY_S, holder_of, is_dead, new_owner
from teams_dagster.ledger.records import StoredAnswer
from teams_dagster.ledger.rows import Rows
from teams_dagster.ledger.write_ahead_log import PRIMARY_CODE

Given = TypeVar("Given")

_log = logging.getLogger(__name__)

GROUP_LIMIT = 1_000
"""Entries of one transaction at most; keeps the wait of other processes' writers short."""


AWAY_S = 60.0
"""For how long a group is tried again while the database is away: it restarts, or the connection broke."""

_PASSING_STATES = ("08", "40", "53", "55", "57")
"""PostgreSQL's classes of errors that pass: connection, rolled back, too few resources, locked, shut down."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0


@dataclass(frozen=True, slots=True)
class _Pending:
    entry: Entry[Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Ledger:
    """The account of every query. Threads and event loops of one process may share it."""

    def __init__(self, url: str) -> None:
        """Open the ledger at `url`; one is made where there is none. Raises LedgerError."""
        self.engine = open_database(url)
        self.owner = new_owner()
        """Under which name this process holds claims and batches."""
        self._renewed_at: float | None = None
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._pending: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="ledger-writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is pending and disconnect."""
        if not self._closed:
            self._closed = True
            self._pending.put(None)
            self._thread.join()
            self.engine.dispose()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def write(self, entry: Entry[Given]) -> Given:
        """Write `entry`; returns what it gives back when it is durable.

        Raises LedgerError when it could not be written; other entries are not affected.
        """
        if self._closed:
            raise LedgerError("the ledger is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Given] = loop.create_future()
        self._pending.put(_Pending(entry, loop, future))
        return await future

    def answers(self, request_keys: Collection[str]) -> dict[str, StoredAnswer]:
        """The stored answers of those of these queries that have one, by key: one look for all of them."""
        with self.engine.connect() as connection:
            return stored_answers(connection, request_keys)

    def spent(self, scope: str = PROJECT) -> Spent:
        """What `scope` may have been billed for."""
        with self.engine.connect() as connection:
            return spent_by(connection, scope)

    def messages(self, request_key: str) -> tuple[Message, ...] | None:
        """The messages that were sent for a query, or None when it was never asked."""
        wanted = sa.select(schema.questions.c.messages).where(schema.questions.c.request_key == request_key)
        with self.engine.connect() as connection:
            found = connection.execute(wanted).scalar_one_or_none()
        return None if found is None else tuple(Message(**message) for message in json.loads(found))

    def _serve(self) -> None:
        """The writer thread: takes whatever is pending, until `close`."""
        open_ = True
        while open_:
            try:
                item = self._pending.get(timeout=RENEW_EVERY_S)
            except queue.Empty:
                self._keep_alive()
                continue
            group: list[_Pending] = []
            while item is not None:
                group.append(item)
                if len(group) == GROUP_LIMIT or self._pending.empty():
                    break
                item = self._pending.get()
            open_ = item is not None
            if group:
                self._commit(group)
        self._leave()

    def _commit(self, group: Sequence[_Pending]) -> None:
        """Write a group; when it fails, each entry alone, so that one bad row fails only its own caller.

        A disk that does not take it fails all: an entry that is written again would find itself on the ledger.
        """
        try:
            answers = self._transact_patiently([item.entry for item in group])
        except Exception as error:
            if len(group) > 1 and not _is_away(error) and not isinstance(error, LedgerError):
                for item in group:
                    self._commit([item])
                return
            failure = LedgerError(f"the ledger could not be written: {reason(error)}")
            failure.__cause__ = error
            _release(group, [failure] * len(group))
        else:
            _release(group, answers)

    def _transact_patiently(self, entries: Sequence[Entry[Any]]) -> list[Any]:
        """Write `entries`, again and again for `AWAY_S` while the database is away.

        A commit that failed may have succeeded all the same; entries know themselves again.
        """
        deadline, pause = time.monotonic() + AWAY_S, _FIRST_PAUSE_S
        warned = False
        while True:
            try:
                return self._transact(entries)
            except (OperationalError, InterfaceError) as error:
                if not _is_away(error) or time.monotonic() + pause > deadline:
                    raise
                if not warned:
                    _log.warning("the ledger is away (%s); trying again for %g s", reason(error), AWAY_S)
                    warned = True
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _transact(self, entries: Sequence[Entry[Any]]) -> list[Any]:
        """Write `entries` in one transaction; returns what each gives back.

        Their rows are made before it, as if nothing stood in their way: while it lasts, no other process can write.
        """
        begins = [entry for entry in entries if isinstance(entry, BeginAttempt)]
        about = LookedUp(
            answers={entry.looks_up for entry in entries if entry.looks_up is not None},
            claims={entry.looks_up for entry in begins},
            results={entry.result.request_id for entry in entries if isinstance(entry, SettleAttempt | AttemptFailed)},
        )
        scopes, dialect = bounded_scopes(entries), self.engine.dialect.name
        rows, given = self._applied(entries, Known())
        statements = rows.statements(dialect)
        began = time.monotonic()
        with write_transaction(self.engine) as connection:
            known = self._known(connection, about, begins, scopes)
            if known.of_queries or not rows.fit(known.spent):
                rows, given = self._applied(entries, known)
                statements = rows.statements(dialect)
            for statement in statements:
                statement.run(connection)
            rows.give_back(connection)
            renews = self._renewal_due or (self._renewed_at is None and rows.needs_lease)
            if renews:
                self._renew(connection)
        if renews:
            self._renewed_at = began
        return given

    def _applied(self, entries: Sequence[Entry[Any]], known: Known) -> tuple[Rows, list[Any]]:
        """The rows of `entries`, and what each gives back."""
        rows = Rows(self.owner, self._process, known)
        return rows, [entry.write(rows) for entry in entries]

    def _known(
        self, connection: sa.Connection, about: LookedUp, begins: Iterable[BeginAttempt], scopes: Collection[str]
    ) -> Known:
        """What the ledger says of what a transaction is about, in which `begins` are to begin."""
        spent = spending_of(connection, scopes) if scopes else {}
        if not (about.answers or about.results) or not anything_known(connection, about):
            return Known(spent=spent)
        claimed = live_claims(connection, about.claims, now(connection)) if about.claims else {}
        begun = {
            entry.attempt.request_id
            for entry in begins
            if claimed.get(entry.looks_up) == holder_of(self.owner, entry.attempt.batch_id)
        }
        return Known(
            stored=stored_answers(connection, about.answers) if about.answers else {},
            claimed=claimed,
            begun=known_ids(connection, schema.attempts, begun) if begun else set(),
            ended=known_ids(connection, schema.results, about.results) if about.results else set(),
            spent=spent,
        )

    @property
    def _renewal_due(self) -> bool:
        return self._renewed_at is not None and time.monotonic() - self._renewed_at >= RENEW_EVERY_S

    def _renew(self, connection: sa.Connection) -> None:
        """Extend this process's lease. The first time, forget the claims of those who left long ago."""
        moment, lease = now(connection), int(LEASE_S * 1_000_000)
        row = {"owner": self.owner, "lease_until": moment + lease}
        connection.execute(upsert(schema.owners, connection.dialect.name), row)
        if self._renewed_at is None:
            late = sa.select(schema.owners.c.owner).where(schema.owners.c.lease_until < moment - lease)
            left = [owner for owner in connection.execute(late).scalars() if is_dead(owner, 0, moment)]
            living = sa.select(schema.owners.c.owner)
            if left:
                connection.execute(sa.delete(schema.owners).where(schema.owners.c.owner.in_(left)))
            connection.execute(sa.delete(schema.claims).where(schema.claims.c.owner.not_in(living)))

    def _keep_alive(self) -> None:
        """Renew the lease of claims that are held while nothing is written."""
        if not self._renewal_due:
            return
        try:
            began = time.monotonic()
            with write_transaction(self.engine) as connection:
                self._renew(connection)
            self._renewed_at = began
        except Exception:
            _log.warning("the lease on the ledger could not be renewed; trying again", exc_info=True)

    def _leave(self) -> None:
        """Give back what is still claimed."""
        if self._renewed_at is None:
            return
        try:
            with write_transaction(self.engine) as connection:
                connection.execute(sa.delete(schema.claims).where(schema.claims.c.owner == self.owner))
                connection.execute(sa.delete(schema.owners).where(schema.owners.c.owner == self.owner))
        except Exception:
            _log.warning("the claims on the ledger could not be given back; they end with this process", exc_info=True)


def _is_away(error: Exception) -> bool:
    """Whether `error` says that the database cannot be reached for now, and nothing about what was to be written."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        code = getattr(error.orig, "sqlite_errorcode", 0) & PRIMARY_CODE
        return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    state = getattr(error.orig, "sqlstate", None)
    return state is None or state[:2] in _PASSING_STATES


def _release(group: Sequence[_Pending], values: Sequence[Any]) -> None:
    """Wake the callers, once per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], object]]] = defaultdict(list)
    for item, value in zip(group, values, strict=True):
        by_loop[item.loop].append((item.future, value))
    for loop, settled in by_loop.items():
        try:
            loop.call_soon_threadsafe(_set_all, settled)
        except RuntimeError:
            continue  # the loop was closed: nobody waits any more, and the rows are durable


def _set_all(settled: list[tuple[asyncio.Future[Any], object]]) -> None:
    for future, value in settled:
        if future.done():
            continue  # its caller was cancelled
        if isinstance(value, LedgerError):
            future.set_exception(value)
        else:
            future.set_result(value)
