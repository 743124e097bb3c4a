"""What came of a generation, by its table of transitions: what was chosen, accepted, and why the others were not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.failures import Silence, refuse_silence
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.environment.recording import content_of
from teams_dagster.policy.query_forecast import asking_of
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.dataset import GenerationFacts, OperationCounts

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
    columns = ["operation", "accepted", "eliminated_by", "verdict", "failure", "queries"]
    rows = pq.read_table(folder / "transitions.parquet", columns=columns).to_pylist()
    chosen: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    causes: dict[str, int] = {}
    for row in rows:
        chosen[row["operation"]] += 1
        accepted[row["operation"]] += row["accepted"]
        if not row["accepted"]:
            cause = _cause(row)
            causes[cause] = causes.get(cause, 0) + 1
    facts = GenerationFacts(
        transitions=len(rows),
        accepted=accepted.total(),
        questions=sum(row["queries"] for row in rows),
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


def _silence(rows: Sequence[Mapping[str, Any]], purpose: str, role: Role) -> Silence | None:
    """What `role` met where it answered no query of `purpose` in these transitions."""
    edits = [row for row in rows if row["operation"] != "none"]
    failed = [row["failure"] for row in edits if (row["failure"] or "").startswith(f"{purpose}: ")]
    later = ("verdict",) if purpose == "review" else ("verdict", "eliminated_by")
    answered = any(row[name] for row in edits for name in later) or (
        purpose == "rewrite" and any((row["failure"] or "").startswith("review: ") for row in edits)
    )
    return Silence(role, len(failed), failed[0].removeprefix(f"{purpose}: ")) if failed and not answered else None


def _cause(row: dict[str, str]) -> str:
    """Why a transition was not accepted."""
    if row["operation"] == "none":
        return "none"
    if row["failure"]:
        return FAILED
    return row["eliminated_by"] or row["verdict"]


def failures_of(generated: Artefact) -> dict[str, int]:
    """How many transitions failed, by which query and the kind of error."""
    failures = pq.read_table(generated.path("transitions.parquet"), columns=["failure"])["failure"].drop_null()
    return dict(Counter(" ".join([FAILED, *failure.split(": ")[:2]]) for failure in failures.to_pylist()))
