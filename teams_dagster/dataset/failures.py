"""Steps in which every query failed, and steps that are to ask again what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any


class NothingToRetry(ValueError):
    """An output that was never finished has no failed queries."""


class NothingAnswered(RuntimeError):
    """A step that asked, and got no answer at all."""


def refuse_silence(asked: int, unanswered: int, outcomes: Mapping[str, Mapping[str, Any]]) -> None:
    """A step whose every query failed has made nothing. Raises NothingAnswered.

    `outcomes` are those of its queries on the ledger, by purpose: what became of them is part of the error.
    """
    if unanswered and unanswered >= asked:
        causes = Counter[str]()
        for counts in outcomes.values():
            causes.update(counts["causes"])
        named = ", ".join(f"{count:,} {cause}" for cause, count in causes.most_common())
        raise NothingAnswered(
            f"none of {unanswered} queries got an answer{f' ({named})' if named else ''}; the ledger"
            " (llm_calls.error_kind, error_detail) says why."
            " Make the models reachable and run the same step again: what was answered is kept"
        )
