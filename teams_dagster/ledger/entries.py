"""What a caller asks the ledger to write in one go. Each says which rows it adds and what it gives back.

`looks_up` names the request key whose stored answer must be known, if any. An entry is applied inside a write
transaction, after the answers it may meet were looked up: nothing can slip in between the look-up and the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from teams_dagster.ledger.records import Attempt, Question, Result, StoredAnswer, Use
from teams_dagster.ledger.rows import Rows


@dataclass(frozen=True, slots=True)
class Begin:
    """A question: its stored answer is used, or else the intent to ask it is written (None comes back)."""

    question: Question
    attempt: Attempt
    use: Use

    @property
    def looks_up(self) -> str:
        return self.use.request_key

    def write(self, rows: Rows) -> StoredAnswer | None:
        stored = rows.stored.get(self.use.request_key)
        if stored is not None:
            rows.answered_use(self.use, stored, reused=True)
            return stored
        rows.question(self.question)
        rows.attempt(self.attempt)
        return None


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The intent of a further attempt."""

    attempt: Attempt
    looks_up: ClassVar[None] = None

    def write(self, rows: Rows) -> None:
        rows.attempt(self.attempt)


@dataclass(frozen=True, slots=True)
class Settle:
    """A paid answer and its use. Gives back the answer everybody uses: an earlier one, if there is one after all."""

    result: Result
    use: Use

    @property
    def looks_up(self) -> str:
        return self.use.request_key

    def write(self, rows: Rows) -> StoredAnswer:
        completion = self.result.completion
        if completion is None:
            raise ValueError("an answer without a completion cannot be settled")
        rows.result(self.result)
        stored = rows.stored.get(self.use.request_key)
        reused = stored is not None
        if stored is None:
            stored = StoredAnswer(self.result.request_id, completion)
            rows.answer(self.use.request_key, stored, self.result.finished_at)
        rows.answered_use(self.use, stored, reused=reused)
        return stored


@dataclass(frozen=True, slots=True)
class Reuse:
    """A further use of an answer that this process has just read or paid."""

    answer: StoredAnswer
    use: Use
    looks_up: ClassVar[None] = None

    def write(self, rows: Rows) -> None:
        rows.answered_use(self.use, self.answer, reused=True)


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """How an attempt failed."""

    result: Result
    looks_up: ClassVar[None] = None

    def write(self, rows: Rows) -> None:
        rows.result(self.result)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that got no answer."""

    use: Use
    error_kind: str
    looks_up: ClassVar[None] = None

    def write(self, rows: Rows) -> None:
        rows.failed_use(self.use, self.error_kind)


Entry = Begin | TryAgain | Settle | Reuse | AttemptFailed | Unanswered
"""Rows that become durable together."""
