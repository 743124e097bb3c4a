"""Replaying generations from the ledger, without a network: verification, not trust.

A generation is a function of its manifest, its seeds, its policy and the answers on the ledger. So it is run again
with an asker that only reads the ledger, and what comes out must be what was stored: every prompt (an altered one has
another key and no answer), parsed text, rule, verdict, reward, probability and id.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from teams_dagster.completions.keys import request_key
from teams_dagster.completions.protocol import (
    Answer,
    ErrorKind,
    ModelIdentity,
    QuestionFailed,
    Request,
    Role,
)
from teams_dagster.dataset.sample import Sample
from teams_dagster.environment.decisions import Actor
from teams_dagster.environment.episodes import EpisodePlan, stream_episodes
from teams_dagster.environment.transition import Environment
from teams_dagster.ledger.writer import Ledger

TOLERANCE = 1e-6
"""Probabilities and rewards are computed again on another machine: they agree within this. All else is exact."""


LATER_COLUMNS = frozenset({"chosen_by", "proposed", "guide_request_id", "guidance_queries"})
"""Columns of `transitions` that files written before guides were asked do not have."""


class LedgerAsker:
    """Answers from the ledger and from nowhere else."""

    def __init__(self, ledger: Ledger, models: Iterable[tuple[str, ModelIdentity]]) -> None:
        """`models` as a generation's manifest names them: (role, model)."""
        self._ledger = ledger
        self._models = {Role(role): identity for role, identity in models}

    def identity(self, role: Role) -> ModelIdentity:
        """The model that served `role` when the questions were asked."""
        return self._models[role]

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        """The stored answer. Raises QuestionFailed when the ledger has none."""
        key = request_key(self._models[request.role], request)
        stored = self._ledger.answer(key)
        if stored is None:
            raise QuestionFailed(ErrorKind.REJECTED, f"the ledger has no answer to {key}", attempts=0)
        return Answer(stored.completion, stored.request_id, key, reused=True)


@dataclass(frozen=True)
class Difference:
    """A stored field that the replay does not reproduce."""

    table: str
    row_id: str
    column: str
    stored: Any
    replayed: Any

    def __str__(self) -> str:
        return (
            f"{self.table} {self.row_id}: column {self.column!r} says {self.stored!r},"
            f" and the ledger's answers give {self.replayed!r}"
        )


@dataclass
class Verification:
    """What a replay found. `not_verified` counts rows by the reason why they could not be replayed."""

    verified: int = 0
    differences: list[Difference] = field(default_factory=list)
    not_verified: dict[str, int] = field(default_factory=dict)

    def compare(self, table: str, row_id: str, stored: Mapping[str, Any], replayed: Mapping[str, Any]) -> None:
        """Compare one row, column by column; columns that tables did not have yet when it was written are left out."""
        found = [
            Difference(table, row_id, column, stored.get(column), value)
            for column, value in replayed.items()
            if not (column in LATER_COLUMNS and column not in stored) and not _agree(stored.get(column), value)
        ]
        self.differences += found
        self.verified += not found

    def skip(self, reason: str, rows: int = 1) -> None:
        """Count rows that could not be replayed."""
        self.not_verified[reason] = self.not_verified.get(reason, 0) + rows


async def replay_transitions(
    environment: Environment,
    actor: Actor,
    plans: Iterable[EpisodePlan],
    stored: Iterable[Mapping[str, Any]],
    into: Verification,
    *,
    progress: Callable[[str], None],
) -> None:
    """Replay the episodes of `plans` and compare each transition with its stored row.

    `stored` are the rows of table `transitions` in their order, which is the order of `plans`.
    """
    rows = iter(stored)
    episodes: AsyncIterator = stream_episodes(environment, actor, plans)
    done = 0
    async for episode in episodes:
        for transition in episode.recorded:
            row = next(rows, None)
            if row is None:
                into.differences.append(
                    Difference("transitions", transition.transition_id, "transition_id", None, transition.transition_id)
                )
                return
            if row.get("failure"):
                into.skip("its question got no answer at the time")
                break
            into.compare("transitions", row["transition_id"], row, transition.row())
        done += 1
        if done % 1000 == 0:
            progress(f"replayed {done} episodes, {into.verified} rows agree")
    for row in rows:
        into.differences.append(
            Difference("transitions", row["transition_id"], "transition_id", row["transition_id"], None)
        )


async def replay_samples(
    replayed: AsyncIterator[Sample], stored: Iterable[Mapping[str, Any]], into: Verification
) -> None:
    """Compare each sample answered again from the ledger with its stored row; both in the same order."""
    rows = iter(stored)
    async for sample in replayed:
        row = next(rows, None)
        if row is None:
            into.differences.append(Difference("samples", sample.sample_id, "sample_id", None, sample.sample_id))
        elif row["respond_request_id"] is None:
            into.skip("its question got no answer at the time")
        else:
            into.compare("samples", row["sample_id"], row, sample.row())
    for row in rows:
        into.differences.append(Difference("samples", row["sample_id"], "sample_id", row["sample_id"], None))


def _agree(stored: Any, replayed: Any) -> bool:
    if isinstance(stored, float) and isinstance(replayed, float):
        return math.isclose(stored, replayed, rel_tol=0, abs_tol=TOLERANCE)
    return stored == replayed
