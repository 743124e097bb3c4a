"""Whether every sample of a generation leads back to its seed, and all that its chain names is stored.

No chain is walked: where every transition continues one that is stored, has the same seed and an earlier step, and
every one that continues none begins at the stored seed, each chain ends there. That takes joins, whatever the size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from teams_dagster.dataset.quality.scratch import scratch
from teams_dagster.store.transition_row import ANSWERS

IDS_AT_ONCE = 10_000

_REQUESTS = {
    "transitions": ("transitions", "transition_id", ANSWERS),
    "samples": ("answers", "sample_id", ("respond_request_id",)),
}
"""Of what: the table, the column that names a row of it, and those with the requests behind it."""

_FAULTS = {
    "samples of a transition that is not stored": """
        select sample_id from samples
        where not exists (select 1 from transitions where transitions.transition_id = samples.transition_id)""",
    "samples that are not what their transition says": """
        select samples.sample_id from samples join transitions using (transition_id)
        where not transitions.accepted or transitions.sample_id is distinct from samples.sample_id
        or transitions.instruction_id is distinct from samples.instruction_id
        or transitions.seed_id <> samples.seed_id
        or transitions.episode_id <> samples.episode_id or transitions.step <> samples.step""",
    "transitions that continue one that is not stored": """
        select transition_id from transitions
        where parent_transition_id is not null and not exists (
            select 1 from transitions as parent where parent.transition_id = transitions.parent_transition_id
        )""",
    "transitions that do not begin where the one they continue ended": """
        select transitions.transition_id
        from transitions join transitions as parent on parent.transition_id = transitions.parent_transition_id
        where parent.step >= transitions.step or parent.instruction_id is distinct from transitions.parent_id
        or parent.seed_id <> transitions.seed_id or parent.episode_id <> transitions.episode_id""",
    "transitions that begin a chain at no stored seed": """
        select transition_id from transitions
        where parent_transition_id is null and not exists (
            select 1 from seeds
            where seeds.seed_id = transitions.seed_id and seeds.instruction_id = transitions.parent_id
        )""",
    "accepted rewrites without the requests that made and judged them": """
        select transition_id from transitions
        where accepted and (rewrite_request_id is null or review_request_id is null)""",
    "answers to a sample that is not stored": """
        select sample_id from answers
        where not exists (select 1 from samples where samples.sample_id = answers.sample_id)""",
    "responses without the request that brought them": """
        select sample_id from answers where response is not null and respond_request_id is null""",
    "transitions by a policy that is not stored": """
        select transition_id from transitions where not list_contains($policies, policy_version)""",
    "transitions by a prompt that is not stored": """
        select transition_id from transitions
        where not list_contains($prompts, prompt_version) or not list_contains($prompts, review_prompt_version)""",
}


@dataclass(frozen=True)
class StoredGeneration:
    """What a generation left, and what else is stored for it to name."""

    transitions: Path
    samples: Path
    answers: Path
    """A row for each answer: the file of the samples where one was asked for."""
    seeds: Path
    policies: Collection[str]
    """Versions of the stored policies."""
    prompts: Collection[str]
    """Versions of the stored templates."""


@dataclass(frozen=True)
class Fault:
    """Rows with the same thing wrong, and the first id among them."""

    what: str
    rows: int
    first: str

    def __str__(self) -> str:
        return f"{self.rows} {self.what}, such as {self.first}"


def chain_faults(generation: StoredGeneration, answered: Callable[[Collection[str]], set[str]]) -> list[Fault]:
    """What keeps samples from leading back to their seeds; empty when every chain is whole.

    `answered` returns those of the request ids given that the ledger has an answer to.
    """
    given = {"policies": list(generation.policies), "prompts": list(generation.prompts)}
    faults: list[Fault] = []
    with scratch() as connection:
        for name in ("transitions", "samples", "answers", "seeds"):
            connection.read_parquet(str(getattr(generation, name))).create_view(name)
        for what, statement in _FAULTS.items():
            named = {name: value for name, value in given.items() if f"${name}" in statement}
            counted = f"select count(*), min(columns(*)) from ({statement})"
            [(rows, first)] = connection.execute(counted, named).fetchall()
            if rows:
                faults.append(Fault(what, rows, first))
        faults += _unanswered(connection, answered)
    return faults


def _unanswered(
    connection: duckdb.DuckDBPyConnection, answered: Callable[[Collection[str]], set[str]]
) -> Iterator[Fault]:
    for what, (table, row_id, columns) in _REQUESTS.items():
        missing, first = 0, ""
        for batch in _request_ids(connection, table, row_id, columns):
            lost = batch.keys() - answered(batch.keys())
            missing += len(lost)
            first = min((f"{batch[request]} (request {request})" for request in lost), default=first) or first
        if missing:
            yield Fault(f"requests of {what} that have no answer on the ledger", missing, first)


def _request_ids(
    connection: duckdb.DuckDBPyConnection, table: str, row_id: str, columns: tuple[str, ...]
) -> Iterator[dict[str, str]]:
    """Request ids with the row that names them, so many at a time."""
    there = {row[0] for row in connection.execute(f"describe {table}").fetchall()}
    named = ", ".join(column for column in columns if column in there)
    rows = connection.execute(f"select request_id, {row_id} from {table} unpivot (request_id for part in ({named}))")
    while batch := rows.fetchmany(IDS_AT_ONCE):
        yield dict(batch)
