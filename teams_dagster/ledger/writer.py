"""The ledger as a process sees it: one writer thread, group commit, each caller released when its rows are durable.

Everything that is pending is written in one transaction: an fsync per row would cost the speed target.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import socket
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from teams_dagster.completions.protocol import Message
from teams_dagster.ledger import schema
from teams_dagster.ledger.database import LedgerError, open_database, write_transaction
from teams_dagster.ledger.entries import Entry
from teams_dagster.ledger.records import StoredAnswer
from teams_dagster.ledger.rows import Rows, stored_answers

GROUP_LIMIT = 1_000
"""Entries of one transaction at most; keeps the wait of other processes' writers short."""


@dataclass(frozen=True, slots=True)
class _Pending:
    entry: Entry
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[StoredAnswer | None]


class Ledger:
    """The account of every query. Threads and event loops of one process may share it."""

    def __init__(self, url: str) -> None:
        """Open the ledger at `url`. Raises LedgerError."""
        self.engine = open_database(url)
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

    async def write(self, entry: Entry) -> StoredAnswer | None:
        """Write `entry`; returns when it is durable, with the stored answer where the entry gives one back.

        Raises LedgerError when it could not be written; other entries are not affected.
        """
        if self._closed:
            raise LedgerError("the ledger is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[StoredAnswer | None] = loop.create_future()
        self._pending.put(_Pending(entry, loop, future))
        return await future

    def answer(self, request_key: str) -> StoredAnswer | None:
        """The stored answer of a question, or None."""
        with self.engine.connect() as connection:
            return stored_answers(connection, [request_key]).get(request_key)

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
            group: list[_Pending] = []
            item = self._pending.get()
            while item is not None:
                group.append(item)
                if len(group) == GROUP_LIMIT or self._pending.empty():
                    break
                item = self._pending.get()
            open_ = item is not None
            if group:
                self._commit(group)

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

    def _transact(self, entries: Sequence[Entry]) -> list[StoredAnswer | None]:
        with write_transaction(self.engine) as connection:
            keys = {entry.looks_up for entry in entries if entry.looks_up is not None}
            rows = Rows(stored_answers(connection, keys), self._process)
            answers = [entry.write(rows) for entry in entries]
            rows.insert(connection)
        return answers


def _release(group: Sequence[_Pending], values: Sequence[StoredAnswer | LedgerError | None]) -> None:
    """Wake the callers, once per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future, object]]] = defaultdict(list)
    for item, value in zip(group, values, strict=True):
        by_loop[item.loop].append((item.future, value))
    for loop, settled in by_loop.items():
        try:
            loop.call_soon_threadsafe(_set_all, settled)
        except RuntimeError:
            continue  # the loop was closed: nobody waits any more, and the rows are durable


def _set_all(settled: list[tuple[asyncio.Future, object]]) -> None:
    for future, value in settled:
        if future.done():
            continue  # its caller was cancelled
        if isinstance(value, LedgerError):
            future.set_exception(value)
        else:
            future.set_result(value)
