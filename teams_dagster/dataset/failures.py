"""Steps in which every query failed, and steps that are to ask again what failed."""

from __future__ import annotations


class NothingToRetry(ValueError):
    """An output that was never finished has no failed queries."""


class NothingAnswered(RuntimeError):
    """A step that asked, and got no answer at all."""


def refuse_silence(asked: int, unanswered: int) -> None:
    """A step whose every query failed has made nothing. Raises NothingAnswered."""
    if unanswered and unanswered >= asked:
        raise NothingAnswered(
            f"none of {unanswered} queries got an answer; the ledger (llm_calls.error_kind, error_detail) says why."
            " Make the models reachable and run the same step again: what was answered is kept"
        )
