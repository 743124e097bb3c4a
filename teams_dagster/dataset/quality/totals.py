"""What the seeds of a generation brought, summed by seed: all that a comparison of generations needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import duckdb
import numpy as np

from teams_dagster.core.operations import Operation
from teams_dagster.dataset.quality.scratch import scratch

SEED = "seed_id"

OPERATIONS = tuple(f"chose_{operation.value}" for operation in Operation)

IDS_AT_ONCE = 10_000

Totals = Mapping[str, np.ndarray]
"""Columns of one row a seed, in order of `seed_id`, which is one of them."""

CostOf = Callable[[Collection[str]], Mapping[str, int | None]]
"""Nano-dollars of each request given, None where no price is known; requests that are not known are left out."""

_WORDS = "len(regexp_extract_all({text}, '\\S+'))"

_EDITS = """
    select seed_id, {operations},
        count(*)::double as steps,
        sum(reward) as reward, sum(reward * reward) as reward_squared,
        count(*) filter (operation <> 'none')::double as rewrites,
        count(*) filter (accepted)::double as accepted,
        sum(queries)::double as queries,
        coalesce(sum(words) filter (accepted), 0)::double as words,
        coalesce(sum(words * words) filter (accepted), 0)::double as words_squared
    from read_parquet($transitions)
    left join (select instruction_id, {words} as words from read_parquet($instructions)) using (instruction_id)
    group by seed_id order by seed_id"""

_ANSWERS = """
    select seed_id, samples, kept, words, words_squared, samples + queries as queries
    from (
        select seed_id, count(*)::double as samples, count(*) filter (accepted)::double as kept,
            coalesce(sum(words) filter (accepted), 0)::double as words,
            coalesce(sum(words * words) filter (accepted), 0)::double as words_squared
        from (select seed_id, accepted, {words} as words from read_parquet($samples))
        group by seed_id
    )
    join (select seed_id, sum(queries)::double as queries from read_parquet($transitions) group by seed_id)
    using (seed_id) order by seed_id"""

_REQUESTS = """
    select request_id, seed_id from (
        select seed_id, unnest([rewrite_request_id, review_request_id]) as request_id from read_parquet($transitions)
        union all
        select seed_id, respond_request_id from read_parquet($samples)
    ) where request_id is not null"""


def edit_totals(transitions: Path, instructions: Path) -> Totals:
    """Of each seed's edits: operations chosen, rewards, accepted, queries, words of the accepted texts."""
    chosen = [f"count(*) filter (operation = '{o.value}')::double as chose_{o.value}" for o in Operation]
    statement = _EDITS.format(operations=", ".join(chosen), words=_WORDS.format(text="text"))
    with scratch() as connection:
        return _columns(connection, statement, transitions=transitions, instructions=instructions)


def answer_totals(samples: Path, transitions: Path, cost_of: CostOf) -> Totals:
    """Of each seed's answers: how many, how many kept, their words, and what the kept ones took.

    `cost` is NaN for a seed of which a request has no known cost.
    """
    statement = _ANSWERS.format(words=_WORDS.format(text="response"))
    files = {"samples": samples, "transitions": transitions}
    with scratch() as connection:
        totals = _columns(connection, statement, **files)
        place = {seed_id: at for at, seed_id in enumerate(totals[SEED].tolist())}
        cost = np.zeros(len(place))
        rows = connection.execute(_REQUESTS, {name: str(file) for name, file in files.items()})
        while batch := rows.fetchmany(IDS_AT_ONCE):
            known = cost_of({request_id for request_id, _ in batch})
            for request_id, seed_id in batch:
                spent = known.get(request_id)
                if seed_id in place:
                    cost[place[seed_id]] += np.nan if spent is None else spent
    return {**totals, "cost": cost}


def _columns(connection: duckdb.DuckDBPyConnection, statement: str, **files: Path) -> Totals:
    found = connection.execute(statement, {name: str(file) for name, file in files.items()}).fetchnumpy()
    return {name: np.asarray(values) for name, values in found.items()}
