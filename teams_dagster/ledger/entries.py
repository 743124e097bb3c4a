"""What a caller asks the ledger to write in one go. Each says which rows it adds and what it gives back.

An entry is applied to what is known of what it depends on (answers and claims of the key that it `looks_up`, the
spending of the scopes that it `reserves` in), and the write transaction sees to it that this still holds: nothing can
slip in between. So it changes nothing but the rows, and can be applied anew. One that is written twice, because nobody
knows whether the first time succeeded, is on the ledger once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from teams_dagster.ledger.budgets import Exhausted, Reservation
from teams_dagster.ledger.records import Attempt, Question, Result, StoredAnswer, Use
from teams_dagster.ledger.rows import Rows

Given = TypeVar("Given", covariant=True)


@dataclass(frozen=True, slots=True)
class Claimed:
    """Somebody else is asking this query."""

    owner: str


class Entry(Protocol[Given]):
    """Rows that become durable together, and what the caller is given then."""

    @property
    def looks_up(self) -> str | None:
        """The request key whose answer and claim must be known."""
        ...

    @property
    def reserves(self) -> Reservation | None:
        """The reservation whose scopes must be known."""
        ...

    def write(self, rows: Rows) -> Given:
        """Add the rows."""
        ...


@dataclass(frozen=True, slots=True)
class LookUp:
    """A query that is answered already is used; None comes back for one that is not."""

    use: Use

    @property
    def looks_up(self) -> str:
        return self.use.request_key

    @property
    def reserves(self) -> None:
        return None

    def write(self, rows: Rows) -> StoredAnswer | None:
        stored = rows.stored.get(self.use.request_key)
        if stored is not None:
            rows.answered_use(self.use, stored, reused=True)
        return stored


@dataclass(frozen=True, slots=True)
class BeginAttempt:
    """The intent to ask a query (again), its claim and its reservation: then None comes back.

    Or what stands in the way: a stored answer (which is used), somebody else's claim, a budget; then nothing is held.
    """

    question: Question
    attempt: Attempt
    use: Use
    reserves: Reservation

    @property
    def looks_up(self) -> str:
        return self.use.request_key

    def write(self, rows: Rows) -> StoredAnswer | Claimed | Exhausted | None:
        key, batch_id = self.use.request_key, self.attempt.batch_id
        stored = rows.stored.get(key)
        if stored is not None:
            rows.answered_use(self.use, stored, reused=True)
            return stored
        if self.attempt.request_id in rows.begun:
            rows.claim(key, batch_id)
            return None
        owner = rows.claimed.get(key)
        again = self.attempt.attempt > 1 and owner == rows.holder(batch_id)
        if owner is not None and not again:
            return Claimed(owner)
        if (exhausted := rows.shortage(self.reserves)) is not None:
            if again:
                rows.release(key, batch_id)
            return exhausted
        rows.question(self.question)
        rows.claim(key, batch_id)
        rows.attempt(self.attempt, self.reserves)
        return None


@dataclass(frozen=True, slots=True)
class KeepLease:
    """This process is about to hold something that its lease must keep."""

    @property
    def looks_up(self) -> None:
        return None

    @property
    def reserves(self) -> None:
        return None

    def write(self, rows: Rows) -> None:
        rows.needs_lease = True


@dataclass(frozen=True, slots=True)
class Release:
    """A query that is not asked any further for now."""

    request_key: str
    batch_id: str | None = None

    @property
    def looks_up(self) -> None:
        return None

    @property
    def reserves(self) -> None:
        return None

    def write(self, rows: Rows) -> None:
        rows.release(self.request_key, self.batch_id)


@dataclass(frozen=True, slots=True)
class SettleAttempt:
    """A paid answer and its uses. Gives back the answer everybody uses: an earlier one, if there is one after all."""

    result: Result
    use: Use
    reserves: Reservation
    batch_id: str | None = None

    @property
    def looks_up(self) -> str:
        return self.use.request_key

    def write(self, rows: Rows) -> StoredAnswer:
        completion = self.result.completion
        if completion is None:
            raise ValueError("an answer without a completion cannot be settled")
        stored = rows.stored.get(self.use.request_key)
        if self.result.request_id not in rows.ended:
            rows.result(self.result)
            rows.settle(self.reserves, self.result)
        elif stored is None:
            raise ValueError(f"attempt {self.result.request_id} is on the ledger as failed: no answer can come of it")
        rows.release(self.use.request_key, self.batch_id)
        reused = stored is not None and stored.request_id != self.result.request_id
        if stored is None:
            stored = StoredAnswer(self.result.request_id, completion, self.result.cost_nano_usd)
            rows.answer(self.use.request_key, stored, self.result.finished_at)
        rows.answered_use(self.use, stored, reused=reused)
        return stored


@dataclass(frozen=True, slots=True)
class Reuse:
    """A further use of an answer that this process has just read or paid."""

    answer: StoredAnswer
    use: Use

    @property
    def looks_up(self) -> None:
        return None

    @property
    def reserves(self) -> None:
        return None

    def write(self, rows: Rows) -> None:
        rows.answered_use(self.use, self.answer, reused=True)


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """How an attempt failed. Its reservation stays where it may have been billed."""

    result: Result
    reserves: Reservation

    @property
    def looks_up(self) -> None:
        return None

    def write(self, rows: Rows) -> None:
        if self.result.request_id not in rows.ended:
            rows.result(self.result)
            rows.settle(self.reserves, self.result)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A query that got no answer; somebody else may ask it now."""

    use: Use
    error_kind: str
    batch_id: str | None = None

    @property
    def looks_up(self) -> None:
        return None

    @property
    def reserves(self) -> None:
        return None

    def write(self, rows: Rows) -> None:
        rows.failed_use(self.use, self.error_kind)
        rows.release(self.use.request_key, self.batch_id)


def bounded_scopes(entries: Iterable[Entry[object]]) -> set[str]:
    """The scopes with a budget in which `entries` reserve or settle."""
    held = (entry.reserves for entry in entries)
    return {limit.scope for each in held if each is not None for limit in each.limits if limit.budget.bounded}
