"""What came of a generation, counted in its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from teams_dagster.dataset.failures import NothingAnswered
from teams_dagster.dataset.generation_facts import generation_facts
from tests.support.memory import most_held

FAILED = "rewrite: server: HTTP 500"


def transition(operation: str, **ended: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("eliminated_by", "verdict", "failure", "rewrite_request_id", "review_request_id"))
    counted = {"accepted": False, "queries": 2, "guidance_queries": 0, "episode_id": "e"}
    return {"operation": operation, **nothing, **counted, **ended}


def table(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    pq.write_table(pa.table(columns), folder / "transitions.parquet")
    return folder


def test_every_transition_is_accepted_or_has_a_cause(tmp_path: Path) -> None:
    rows = [
        transition("deepening", accepted=True, verdict="not_equal"),
        transition("breadth", verdict="equal"),
        transition("deepening", eliminated_by="returned", queries=1),
        transition("none", queries=0),
        transition("breadth", failure=FAILED, queries=1),
    ]
    facts = generation_facts(table(tmp_path, rows), {})
    assert (facts.transitions, facts.accepted, facts.questions, facts.unanswered) == (5, 1, 6, 1)
    assert facts.not_accepted == {"equal": 1, "returned": 1, "none": 1, "failed": 1}
    assert {name: (each.chosen, each.accepted) for name, each in facts.operations.items()} == {
        "deepening": (2, 1),
        "breadth": (2, 0),
        "none": (1, 0),
    }


def test_where_every_query_failed_the_first_failure_is_told(tmp_path: Path) -> None:
    rows = [transition("breadth", failure=FAILED, queries=1), transition("breadth", failure="rewrite: timeout: slow")]
    with pytest.raises(NothingAnswered, match="HTTP 500"):
        generation_facts(table(tmp_path, rows), {})


def test_a_reviewer_that_answered_nothing_is_told_although_rewrites_came(tmp_path: Path) -> None:
    rows = [transition("breadth", failure="review: denied: HTTP 401") for _ in range(20)]
    with pytest.raises(NothingAnswered, match="HTTP 401"):
        generation_facts(table(tmp_path, rows), {})


def test_memory_does_not_grow_with_the_transitions(tmp_path: Path) -> None:
    few, many = (
        table(tmp_path / str(count), [transition("breadth", accepted=True, verdict="not_equal")] * count)
        for count in (2_000, 20_000)
    )
    assert most_held(lambda: generation_facts(many, {})) < 2 * most_held(lambda: generation_facts(few, {}))
