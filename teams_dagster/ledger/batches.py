"""Provider batches on the ledger: handed in by one process, perhaps collected by another, days later.

A batch's row is written before its attempts, its attempts before it is handed in, and its provider's id after. So
whatever is killed, the next process finds every batch, and can ask the provider whether it ever came to be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from teams_dagster.core.protocol import CompletionError, ErrorKind, ModelIdentity
from teams_dagster.core.replies import AllowedReplies, Way, read_replies
from teams_dagster.ledger.budgets import PROJECT, Budget, Limit, Reservation, run_scope
from teams_dagster.ledger.database import LedgerError, now, write_transaction
from teams_dagster.ledger.known import live_claims
from teams_dagster.ledger.owners import batch_owner, is_dead
from teams_dagster.ledger.records import Place
from teams_dagster.ledger.schema import attempts, batches, claims, owners, questions, results, spending
from teams_dagster.ledger.writer import Ledger

OPEN = ("preparing", "submitted")

KEYS_AT_ONCE = 500
"""Keys of one query: databases bound the number of its parameters."""


@dataclass(frozen=True)
class Batch:
    """One batch."""

    batch_id: str
    role: str
    provider: str
    model: str
    base_url: str
    status: str
    """`preparing`, `submitted`, `collected` or `lost` (never handed in, or not known to the provider any more)."""
    remote_id: str | None
    """The provider's id, once it is known."""
    owner: str | None
    run_id: str
    asset_key: str
    partition_key: str | None

    def is_of(self, identity: ModelIdentity) -> bool:
        """Whether this model answers it."""
        return (self.provider, self.model, self.base_url) == (identity.provider, identity.model, identity.base_url)


@dataclass(frozen=True)
class WaitingAttempt:
    """An attempt of a batch that has no result yet."""

    request_id: str
    request_key: str
    place: Place
    started_at: int
    reservation: Reservation
    structured: Way | None
    """How the model was held to `allowed`; None: it was not."""
    allowed: AllowedReplies | None


def open_batch(ledger: Ledger, batch: Batch) -> Batch:
    """Begin `batch`: this process owns it, and it may hold claims of its own."""
    batch = replace(batch, status="preparing", owner=ledger.owner)
    with write_transaction(ledger.engine) as connection:
        moment = now(connection)
        connection.execute(sa.insert(batches), {**_row(batch), "created_at": moment, "updated_at": moment})
        connection.execute(sa.insert(owners), {"owner": batch_owner(batch.batch_id), "lease_until": None})
    return batch


def submitted(ledger: Ledger, batch_id: str, remote_id: str) -> None:
    """The provider has the batch, and this is its id there. Raises LedgerError when it is not this process's."""
    with write_transaction(ledger.engine) as connection:
        _update(connection, ledger, batch_id, status="submitted", remote_id=remote_id)


def close_batch(ledger: Ledger, batch_id: str, status: str) -> None:
    """Nothing more comes of the batch: `collected` or `lost`. What it still claims is given back.

    Raises LedgerError when it is not this process's.
    """
    holder = batch_owner(batch_id)
    with write_transaction(ledger.engine) as connection:
        _update(connection, ledger, batch_id, status=status, owner=None)
        connection.execute(sa.delete(claims).where(claims.c.owner == holder))
        connection.execute(sa.delete(owners).where(owners.c.owner == holder))


def take(ledger: Ledger, batch_id: str) -> Batch | None:
    """Make this process the batch's owner; None when it is closed, or when another living process owns it."""
    with write_transaction(ledger.engine) as connection:
        found = _batches(connection, batches.c.batch_id == batch_id)
        if not found or found[0].status not in OPEN:
            return None
        owner = found[0].owner
        if owner not in (None, ledger.owner) and _lives(connection, owner):
            return None
        connection.execute(sa.update(batches).where(batches.c.batch_id == batch_id).values(owner=ledger.owner))
        return replace(found[0], owner=ledger.owner)


def give_back(ledger: Ledger, batch_id: str) -> None:
    """This process works on the batch no more; whoever comes next may. Nothing, when another one works on it."""
    mine = sa.update(batches).where(batches.c.batch_id == batch_id, batches.c.owner == ledger.owner)
    with write_transaction(ledger.engine) as connection:
        connection.execute(mine.values(owner=None, updated_at=now(connection)))


def open_batches(ledger: Ledger) -> list[Batch]:
    """The batches that are not closed, the oldest first."""
    with ledger.engine.connect() as connection:
        return _batches(connection, batches.c.status.in_(OPEN))


def unattended(ledger: Ledger) -> list[Batch]:
    """The open batches that no living process works on, the oldest first."""
    with ledger.engine.connect() as connection:
        found = _batches(connection, batches.c.status.in_(OPEN))
        return [batch for batch in found if batch.owner is None or not _lives(connection, batch.owner)]


def waiting_attempts(ledger: Ledger, batch_id: str) -> dict[str, WaitingAttempt]:
    """The attempts of a batch without a result, by request id."""
    unresolved = (
        sa.select(attempts, questions.c.structured, questions.c.allowed_replies)
        .join(questions, attempts.c.request_key == questions.c.request_key)
        .outerjoin(results, attempts.c.request_id == results.c.request_id)
        .where(attempts.c.batch_id == batch_id, results.c.request_id.is_(None))
    )
    with ledger.engine.connect() as connection:
        scopes = set(connection.execute(sa.select(spending.c.scope)).scalars())
        return {row.request_id: _waiting(row, scopes) for row in connection.execute(unresolved)}


def claimants(ledger: Ledger, request_keys: Collection[str]) -> dict[str, str]:
    """Who is asking those of `request_keys` that are being asked."""
    with ledger.engine.connect() as connection:
        return live_claims(connection, request_keys, now(connection))


def failures_in_batches(ledger: Ledger, request_keys: Collection[str]) -> dict[str, list[CompletionError]]:
    """How those of `request_keys` failed that were part of batches which came to be, the latest failure last."""
    failed = (
        sa.select(attempts.c.request_key, results.c.error_kind, results.c.error_detail)
        .join(results, attempts.c.request_id == results.c.request_id)
        .join(batches, attempts.c.batch_id == batches.c.batch_id)
        .where(batches.c.remote_id.is_not(None), results.c.status == "failed")
        .order_by(results.c.seq)
    )
    found: dict[str, list[CompletionError]] = defaultdict(list)
    with ledger.engine.connect() as connection:
        keys = sorted(request_keys)
        for start in range(0, len(keys), KEYS_AT_ONCE):
            chunk = keys[start : start + KEYS_AT_ONCE]
            for key, kind, detail in connection.execute(failed.where(attempts.c.request_key.in_(chunk))):
                found[key].append(CompletionError(ErrorKind(kind), detail or ""))
    return found


def _waiting(row: sa.Row[*tuple[Any, ...]], scopes: set[str]) -> WaitingAttempt:
    place = Place(**{name: getattr(row, name) for name in Place.__dataclass_fields__})
    bounded = (run_scope(place.run_id), run_scope(place.run_id, place.role))
    limits = [Limit(PROJECT, Budget()), *(Limit(scope, Budget()) for scope in bounded if scope in scopes)]
    reservation = Reservation(tuple(limits), row.reserved_tokens or 0, row.reserved_nano_usd)
    held = None if row.structured is None else (Way(row.structured), read_replies(row.allowed_replies))
    return WaitingAttempt(row.request_id, row.request_key, place, row.started_at, reservation, *(held or (None, None)))


def _row(batch: Batch) -> dict[str, str | None]:
    return {name: getattr(batch, name) for name in Batch.__dataclass_fields__}


def _batches(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> list[Batch]:
    columns = [batches.c[name] for name in Batch.__dataclass_fields__]
    selected = sa.select(*columns).where(condition).order_by(batches.c.created_at, batches.c.batch_id)
    return [Batch(*row) for row in connection.execute(selected)]


def _lives(connection: sa.Connection, owner: str) -> bool:
    row = connection.execute(sa.select(owners.c.lease_until).where(owners.c.owner == owner)).first()
    return row is not None and not is_dead(owner, row.lease_until, now(connection))


def _update(connection: sa.Connection, ledger: Ledger, batch_id: str, **values: str | None) -> None:
    mine = sa.update(batches).where(batches.c.batch_id == batch_id, batches.c.owner == ledger.owner)
    if connection.execute(mine.values(**values, updated_at=now(connection))).rowcount != 1:
        raise LedgerError(
            f"batch {batch_id} is not this process's any more: another one took it over, as this one seemed to be dead."
            " Run the step again: it goes on from what is on the ledger"
        )
