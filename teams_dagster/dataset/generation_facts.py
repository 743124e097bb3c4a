"""What came of a generation, by its table of transitions: what was chosen, accepted, and why the others were not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.failures import Silence, refuse_silence
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.environment.recording import AT_ONCE, content_of
from teams_dagster.policy.query_forecast import asking_of
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.dataset import GenerationFacts, OperationCounts
from teams_dagster.store.parquet import iterate_rows

FAILED = "failed"
"""The cause of a transition whose query got no answer."""


def generation_content(folder: Path, manifest: GenerationManifest) -> str:
    """The data version of the generation in `folder`: another for another target, which its answers are made for."""
    content = content_of(folder / "transitions.parquet")
    return content if manifest.target_samples is None else content_hash("to a target", content, manifest.target_samples)


def generation_facts(folder: Path, outcomes: Mapping[str, dict[str, Any]]) -> GenerationFacts:
    """What came of the generation in `folder`; `outcomes` are those of its queries on the ledger, by purpose.

    Raises NothingAnswered where every query failed.
    """
    rows = Counter(_Ended(**row) for row in iterate_rows(folder / "transitions.parquet", AT_ONCE, _ENDED))
    chosen: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    causes: dict[str, int] = {}
    for row, count in rows.items():
        chosen[row.operation] += count
        accepted[row.operation] += count * row.accepted
        if not row.accepted:
            causes[row.cause] = causes.get(row.cause, 0) + count
    facts = GenerationFacts(
        transitions=rows.total(),
        accepted=accepted.total(),
        questions=sum(row.queries * count for row, count in rows.items()),
        operations={name: OperationCounts(chosen=count, accepted=accepted[name]) for name, count in chosen.items()},
        not_accepted=causes,
        unanswered=causes.get(FAILED, 0),
        asking=asking_of(folder / "transitions.parquet"),
        outcomes=dict(outcomes),
    )
    if facts.unanswered:
        refuse_silence(_silence(rows, "rewrite", Role.EXPERT), at_least=1)
        refuse_silence(_silence(rows, "review", Role.REVIEWER))
    return facts


class _Ended(NamedTuple):
    """How transitions ended: equal ones are counted together, so that memory holds the kinds of ends."""

    operation: str
    accepted: bool
    eliminated_by: str | None
    verdict: str | None
    failure: str | None
    queries: int

    @property
    def cause(self) -> str:
        """Why it was not accepted."""
        if self.operation == "none":
            return "none"
        if self.failure:
            return FAILED
        return self.eliminated_by or self.verdict or ""

    def failed(self, purpose: str) -> bool:
        """Whether its query of `purpose` got no answer."""
        return (self.failure or "").startswith(f"{purpose}: ")


_ENDED = _Ended._fields


def _silence(rows: Mapping[_Ended, int], purpose: str, role: Role) -> Silence | None:
    """What `role` met where it answered no query of `purpose` in these transitions."""
    edits = [row for row in rows if row.operation != "none"]
    failed = [row for row in edits if row.failed(purpose)]
    answered = any(row.verdict or (purpose == "rewrite" and row.eliminated_by) for row in edits) or (
        purpose == "rewrite" and any(row.failed("review") for row in edits)
    )
    if not failed or answered:
        return None
    return Silence(role, sum(rows[row] for row in failed), (failed[0].failure or "").removeprefix(f"{purpose}: "))


def failures_of(generated: Artefact) -> dict[str, int]:
    """How many transitions failed, by which query and the kind of error."""
    failures = pq.read_table(generated.path("transitions.parquet"), columns=["failure"])["failure"].drop_null()
    return dict(Counter(" ".join([FAILED, *failure.split(": ")[:2]]) for failure in failures.to_pylist()))
