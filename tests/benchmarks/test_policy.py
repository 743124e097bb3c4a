"""What the studies of the policy do by default, without running them."""

from __future__ import annotations

from benchmarks.policy.remembering import Remembering
from benchmarks.policy.rlgf import CANDIDATES, HERE, RESULTS
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Role
from teams_dagster.instructions.requests import rewrite_query
from teams_dagster.llm import loop


def test_trying_candidates_overwrites_nothing_that_is_published() -> None:
    published = {path.name for path in HERE.glob("*.md")} | {path.name for path in HERE.glob("*.jsonl")}
    assert CANDIDATES not in published
    assert CANDIDATES.replace(".jsonl", ".md") not in published
    assert RESULTS in published


def test_a_query_is_answered_once_and_remembered() -> None:
    client = Remembering()
    query = rewrite_query(Role.INSTRUCTOR, Operation.DEEPENING, Instruction("Explain why bread rises"))
    first, again = (loop.run(client.ask(query)) for _ in range(2))
    assert first is again
