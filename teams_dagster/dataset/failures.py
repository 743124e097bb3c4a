"""Steps in which every query failed, and steps that are to ask again what failed."""

from __future__ import annotations

from dataclasses import dataclass

from teams_dagster.core.protocol import CompletionError, ErrorKind, Role
from teams_dagster.llm.circuit import advice


class NothingToRetry(ValueError):
    """An output that was never finished has no failed queries."""


class NothingAnswered(RuntimeError):
    """A step that asked, and got no answer at all."""


FEWEST = 3
"""Queries of one role that failed, all of them: fewer may be those queries' own trouble."""


@dataclass(frozen=True)
class Silence:
    """The queries of one role, none of which got an answer."""

    role: Role
    queries: int
    failure: str
    """What one of them met, its kind first: `rejected: HTTP 400: ...`."""

    def __str__(self) -> str:
        kind, _, detail = self.failure.partition(": ")
        told = f"none of {self.queries} queries of {self.role.value} got an answer: {self.failure.rstrip('. ')}."
        if f"TEAMS_{self.role.name}_" in detail:
            return told
        return f"{told} {advice(CompletionError(ErrorKind(kind), detail), self.role)}"


def refuse_silence(silent: Silence | None, *, at_least: int = FEWEST) -> None:
    """A step that a role never answered has made nothing. Raises NothingAnswered, with what to check.

    `at_least` so many queries say so; None where the role answered, or was not asked.
    """
    if silent is not None and silent.queries >= at_least:
        raise NothingAnswered(f"{silent} Run the same step again then: what was answered is kept")
