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
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from teams_dagster.completions.protocol import Message
from teams_dagster.ledger import schema
from teams_dagster.ledger.budgets import PROJECT, Spent, spent_by
from teams_dagster.ledger.database import LedgerError, now, open_database, write_transaction
from teams_dagster.ledger.entries import Begin, Entry, scopes_of
from teams_dagster.ledger.owners import LEASE_S, RENEW_EVERY_S, new_owner
from teams_dagster.ledger.records import StoredAnswer
from teams_dagster.ledger.rows import Rows, live_claims, spending_of, stored_answers, upsert

Given = TypeVar("Given")

_log = logging.getLogger(__name__)

GROUP_LIMIT = 1_000
"""Entries of one transaction at most; keeps the wait of other processes' writers short."""


@dataclass(frozen=True, slots=True)
class _Pending:
    entry: Entry[Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Ledger:
    """The account of every query. Threads and event loops of one process may share it."""

    def __init__(self, url: str) -> None:
        """Open the ledger at `url`. Raises LedgerError."""
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

    def answer(self, request_key: str) -> StoredAnswer | None:
        """The stored answer of a question, or None."""
        with self.engine.connect() as connection:
            return stored_answers(connection, [request_key]).get(request_key)

    def spent(self, scope: str = PROJECT) -> Spent:
        """What `scope` may have been billed for."""
        with self.engine.connect() as connection:
            return spent_by(connection, scope)

    def messages(self, request_key: str) -> tuple[Message, ...] | None:
        """The messages that were sent for a question, or None when it was never asked."""
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
        """Write a group; when it fails, each entry alone, so that one bad row fails only its own caller."""
        try:
            answers = self._transact([item.entry for item in group])
        except Exception as error:
            if len(group) > 1:
                for item in group:
                    self._commit([item])
                return
            failure = LedgerError(f"the ledger could not be written: {getattr(error, 'orig', None) or error}")
            failure.__cause__ = error
            _release(group, [failure])
        else:
            _release(group, answers)

    def _transact(self, entries: Sequence[Entry[Any]]) -> list[Any]:
        keys = {entry.looks_up for entry in entries if entry.looks_up is not None}
        wanted = {entry.looks_up for entry in entries if isinstance(entry, Begin)}
        scopes = scopes_of(entries)
        with write_transaction(self.engine) as connection:
            rows = Rows(
                self.owner,
                self._process,
                stored=stored_answers(connection, keys) if keys else {},
                claimed=live_claims(connection, wanted, now(connection)) if wanted else {},
                spent=spending_of(connection, scopes) if scopes else {},
            )
            given = [entry.write(rows) for entry in entries]
            rows.insert(connection)
            if self._renewal_due or (self._renewed_at is None and rows.needs_lease):
                self._renew(connection)
        return given

    @property
    def _renewal_due(self) -> bool:
        return self._renewed_at is not None and time.monotonic() - self._renewed_at >= RENEW_EVERY_S

    def _renew(self, connection: sa.Connection) -> None:
        """Extend this process's lease. The first time, forget the claims of those who left long ago."""
        moment, lease = now(connection), int(LEASE_S * 1_000_000)
        row = {"owner": self.owner, "lease_until": moment + lease}
        connection.execute(upsert(schema.owners, connection.dialect.name), row)
        if self._renewed_at is None:
            living = sa.select(schema.owners.c.owner)
            connection.execute(sa.delete(schema.owners).where(schema.owners.c.lease_until < moment - lease))
            connection.execute(sa.delete(schema.claims).where(schema.claims.c.owner.not_in(living)))
        self._renewed_at = time.monotonic()

    def _keep_alive(self) -> None:
        """Renew the lease of claims that are held while nothing is written."""
        if not self._renewal_due:
            return
        try:
            with write_transaction(self.engine) as connection:
                self._renew(connection)
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
            _log.warning("the claims on the ledger could not be given back; they end with their lease", exc_info=True)


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
