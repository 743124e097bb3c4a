"""Forward: what a seed, an operation, a prompt, a policy, a model or a query touched.

A sample is touched by what is anywhere in its chain, in one of its answers, or in a rating of one; a dataset version by
its samples; an adapter by the dataset it was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb

from teams_dagster.lineage.trace import NotFound
from teams_dagster.store.transition_row import ANSWERS

_NAMED_PROMPT = "(select prompt_version from prompt_templates where prompt_version = $value or name = $value)"
_BY_MODEL = "(select request_id from llm_calls where model = $value or provider || '/' || model = $value)"
_BY_QUESTION = "(select request_id from llm_calls where request_id = $value or request_key = $value)"

_ASKED = " or ".join(f"{column} in {{0}}" for column in ANSWERS)

_TRANSITIONS = {
    "seed": "seed_id = $value",
    "operation": "operation = $value",
    "prompt": f"prompt_version in {_NAMED_PROMPT} or review_prompt_version in {_NAMED_PROMPT}",
    "policy": "policy_version = $value",
    "model": _ASKED.format(_BY_MODEL),
    "query": _ASKED.format(_BY_QUESTION),
}
"""Which transitions are touched, in SQL."""

_ANSWERED_WITH = f"(select request_id from llm_calls where prompt_version in {_NAMED_PROMPT})"

_OF_SAMPLES = """(
    select sample_id, respond_request_id as request_id from samples
    union all select sample_id, respond_request_id from sample_answers
    union all select sample_id, judge_request_id from pair_scores
)"""
"""What was asked for a sample alone: its answer, further ones, and their ratings."""

_SAMPLES = {
    "prompt": f"request_id in {_ANSWERED_WITH}",
    "model": f"request_id in {_BY_MODEL}",
    "query": f"request_id in {_BY_QUESTION}",
}
"""Which samples are touched by that alone, in SQL."""

KINDS = tuple(_TRANSITIONS)


@dataclass(frozen=True)
class TouchedSample:
    """A sample that was touched."""

    sample_id: str
    partition_key: str | None
    accepted: bool | None
    """None for one of the past, whose generation was made anew since."""
    reason: str | None
    instruction: str | None


@dataclass(frozen=True)
class ForwardLineage:
    """Everything that was touched."""

    kind: str
    value: str
    transitions: int
    """Accepted or not, of generations."""
    samples: int
    kept: int
    shown: tuple[TouchedSample, ...]
    """The first samples by id, in the order of their generations."""
    datasets: tuple[tuple[str, str, int], ...]
    """(dataset version, split, samples of it that were touched)."""
    adapters: tuple[tuple[str, str, str], ...]
    """(kind, model version, dataset version)."""


def forward_lineage(
    connection: duckdb.DuckDBPyConnection, kind: str, value: str, *, most: int | None = None
) -> ForwardLineage:
    """What `kind` (one of KINDS) with this id, version or name touched; with the first `most` samples, or with all.

    Raises NotFound for another kind, and where no transition of a generation has the value.
    """
    if kind not in _TRANSITIONS:
        raise NotFound(f"{kind!r} is nothing that lineage starts from: {', '.join(KINDS)}")
    given = {"value": value}
    of_generation = f"purpose = 'generate' and ({_TRANSITIONS[kind]})"
    transitions = _count(connection, f"select count(*) from transitions where {of_generation}", given)
    by_chain = (
        f"select distinct sample_id from sample_hops where transition_id in"
        f" (select transition_id from transitions where {of_generation})"
    )
    by_answer = f" union select sample_id from {_OF_SAMPLES} where {_SAMPLES[kind]}" if kind in _SAMPLES else ""
    connection.execute(f"create or replace temp table touched as {by_chain}{by_answer}", given)
    samples = _count(connection, "select count(*) from touched")
    if not transitions and not samples:
        raise NotFound(f"{kind} {value!r} touched nothing: no transition of a generation has it")
    limit = "" if most is None else f" limit {int(most)}"
    shown = connection.execute(
        "select sample_id, partition_key, accepted, reason, instruction"
        f" from (from touched order by sample_id{limit}) as touched"
        " left join samples using (sample_id) order by partition_key, sample_id"
    ).fetchall()
    return ForwardLineage(
        kind=kind,
        value=value,
        transitions=transitions,
        samples=samples,
        kept=_count(connection, "select count(*) from touched join samples using (sample_id) where accepted"),
        shown=tuple(TouchedSample(*row) for row in shown),
        datasets=_triples(
            connection,
            "select dataset_version, split, count(*) from dataset_samples join touched using (sample_id) group by all"
            " order by all",
        ),
        adapters=_triples(
            connection,
            "select distinct kind, model_version, dataset_version from models where dataset_version in"
            " (select dataset_version from dataset_samples join touched using (sample_id)) order by all",
        ),
    )


def _count(connection: duckdb.DuckDBPyConnection, statement: str, given: dict[str, Any] | None = None) -> int:
    return connection.execute(statement, given or {}).fetchall()[0][0]


def _triples(connection: duckdb.DuckDBPyConnection, statement: str) -> tuple[Any, ...]:
    return tuple(connection.execute(statement).fetchall())
