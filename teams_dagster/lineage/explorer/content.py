"""What the page holds: which samples, and every row that their stories need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb

from teams_dagster.lineage.explorer.columns import Block, Columns, ExplorerError, Kind, Reader, Row, statement

MOST_SAMPLES = 100_000
"""Of one page."""

_EXAMPLES = 5

_MAIN_LINE = (
    "transition_id not in (select transition_id from transitions where policy = 'uniform' and sample_id notnull)"
)
"""Not of the uniform arm, whose samples are on pages that name them."""

TABLES: dict[str, Columns] = {
    "seeds": {
        "seed_id": Kind.KEY,
        "source": Kind.NAME,
        "source_sha256": Kind.NAME,
        "row": Kind.NUMBER,
        "text": Kind.TEXT,
        "input": Kind.TEXT,
        "response": Kind.TEXT,
        "cluster_id": Kind.NAME,
    },
    "transitions": {
        "transition_id": Kind.KEY,
        "episode_id": Kind.NAME,
        "step": Kind.NUMBER,
        "operation": Kind.NAME,
        "probability": Kind.NUMBER,
        "chosen_by": Kind.NAME,
        "proposed": Kind.NAME,
        "policy": Kind.NAME,
        "policy_version": Kind.NAME,
        "text_before": Kind.TEXT,
        "input_before": Kind.TEXT,
        "text_after": Kind.TEXT,
        "input_after": Kind.TEXT,
        "prompt_version": Kind.NAME,
        "review_prompt_version": Kind.NAME,
        "pool_version": Kind.NAME,
        "verdict": Kind.NAME,
        "verdict_probability": Kind.NUMBER,
        "orders_agree": Kind.NUMBER,
        "eliminated_by": Kind.NAME,
        "failure": Kind.TEXT,
        "novelty": Kind.NUMBER,
        "reward": Kind.NUMBER,
        "reward_preset": Kind.NAME,
        "accepted": Kind.NUMBER,
        "guidance_queries": Kind.NUMBER,
        "partition_key": Kind.NAME,
        "run_id": Kind.NAME,
    },
    "samples": {
        "sample_id": Kind.KEY,
        "transition_id": Row("transitions"),
        "seed_id": Row("seeds"),
        "partition_key": Kind.NAME,
        "instruction": Kind.TEXT,
        "input": Kind.TEXT,
        "response": Kind.TEXT,
        "accepted": Kind.NUMBER,
        "reason": Kind.NAME,
        "run_id": Kind.NAME,
    },
    "hops": {"sample": Kind.NUMBER, "transition_id": Row("transitions")},
    "questions": {
        "transition_id": Row("transitions"),
        "kind": Kind.NAME,
        "request_id": Kind.ID,
        "role": Kind.NAME,
        "provider": Kind.NAME,
        "model": Kind.NAME,
        "prompt_tokens": Kind.NUMBER,
        "cached_tokens": Kind.NUMBER,
        "completion_tokens": Kind.NUMBER,
        "cost_nano_usd": Kind.NUMBER,
        "price_version": Kind.NAME,
        "prompt_version": Kind.NAME,
        "latency_ms": Kind.NUMBER,
        "reused": Kind.NUMBER,
    },
    "datasets": {
        "dataset_version": Kind.KEY,
        "made_at": Kind.NAME,
        "code_version": Kind.NAME,
        "run_id": Kind.NAME,
        "latest": Kind.NUMBER,
    },
    "splits": {"dataset_version": Row("datasets"), "sample": Kind.NUMBER, "split": Kind.NAME},
    "models": {
        "model_version": Kind.ID,
        "kind": Kind.NAME,
        "dataset_version": Row("datasets"),
        "base_version": Kind.NAME,
        "run_id": Kind.NAME,
    },
    "policies": {
        "policy_version": Kind.NAME,
        "algorithm": Kind.NAME,
        "instructor": Kind.NAME,
        "reviewer": Kind.NAME,
        "guide": Kind.NAME,
        "iterations": Kind.NUMBER,
        "queries": Kind.NUMBER,
        "cost_nano_usd": Kind.NUMBER,
        "unpriced": Kind.NUMBER,
        "run_id": Kind.NAME,
    },
    "templates": {"prompt_version": Kind.NAME, "name": Kind.NAME, "text": Kind.TEXT},
    "outputs": {
        "asset_key": Kind.NAME,
        "partition_key": Kind.NAME,
        "run_id": Kind.NAME,
        "code_version": Kind.NAME,
        "fingerprint": Kind.NAME,
        "data_version": Kind.NAME,
        "made_at": Kind.NAME,
    },
}
"""The tables of the page in their order: a table comes after those whose rows it names."""


def choose(connection: duckdb.DuckDBPyConnection, sample_ids: Sequence[str] | None, most: int = MOST_SAMPLES) -> int:
    """Settle which samples the page holds, all when `sample_ids` is None; returns how many.

    Raises ExplorerError for more than `most`, and for a sample that does not exist.
    """
    wanted = None if sample_ids is None else list(dict.fromkeys(sample_ids))
    count = _all_samples(connection) if wanted is None else len(wanted)
    if count > most:
        raise ExplorerError(
            f"{count:,} samples, and one page holds at most {most:,}: choose fewer, for instance those of one"
            f" generation ({_generations(connection)})"
        )
    connection.execute(statement("chosen"), {"everything": wanted is None, "sample_ids": wanted or []})
    if wanted is not None:
        _refuse_unknown(connection, wanted)
    return count


def blocks(reader: Reader) -> Iterator[Block]:
    """The whole content, a block at a time. Raises ExplorerError."""
    for table, columns in TABLES.items():
        yield from reader.read(table, columns)
    yield from reader.rest()


def _all_samples(connection: duckdb.DuckDBPyConnection) -> int:
    """Those of the main line."""
    return connection.execute(f"select count(*) from samples where {_MAIN_LINE}").fetchall()[0][0]


def _generations(connection: duckdb.DuckDBPyConnection) -> str:
    """The latest generations with their samples."""
    found = connection.execute(
        f"select partition_key, count(*) from samples where {_MAIN_LINE}"
        " group by partition_key order by partition_key desc limit ?",
        [_EXAMPLES],
    ).fetchall()
    return ", ".join(f"{partition} has {count:,}" for partition, count in found)


def _refuse_unknown(connection: duckdb.DuckDBPyConnection, wanted: list[str]) -> None:
    known = {name for (name,) in connection.execute("select sample_id from chosen").fetchall()}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        named = ", ".join(map(repr, unknown[:_EXAMPLES]))
        raise ExplorerError(
            f"{len(unknown):,} of {len(wanted):,} sample ids are not in table samples: {named}."
            " `select sample_id from samples` lists those that are"
        )
