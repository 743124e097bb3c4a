"""A ledger of a million calls: how long its read model takes, in how much memory, and how fast costs are read.

Every step is run as a process of its own, so that its memory is its own: `build` the ledger, `measure` the refresh and
the views of costs, `view` one of the views that look at every row.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import sqlite3
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import sqlalchemy as sa

from teams_dagster.core.row_hash import ROW_HASH, row_hash
from teams_dagster.ledger import schema
from teams_dagster.ledger.database import open_database, sqlite_url
from teams_dagster.store.read_model import refresh

ROWS_AT_ONCE = 20_000
QUERY_REPEATS = 5

AUDIT = """
select outcome, error_kind, reused, count(*) as asked
from llm_requests
group by all
order by all
"""
"""Asked = kept + each named cause."""

WHOLE_VIEWS = ("ledger_audit", "request_outcomes")
"""Views that look at every call, question and answer."""

_STARTED_AT = 1_760_000_000_000_000
_PURPOSES = {"expert": "respond", "instructor": "rewrite", "reviewer": "review"}
_OPERATIONS = ("breadth", "add_constraints", "deepening", "concretizing", "increase_reasoning_steps")
ANSWER = "An answer of ordinary length says what was asked, gives a reason and an example, and stops. " * 4


def build(folder: Path, calls: int) -> None:
    """Write a ledger of `calls` attempts: 98% answered, 1% failed, 1% unresolved; a use of each question."""
    folder.mkdir(parents=True, exist_ok=True)
    engine = open_database(sqlite_url(folder / "ledger.sqlite"))
    engine.dispose()
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-2000000")
        for first in range(0, calls, ROWS_AT_ONCE):
            with connection:
                for table, found in _rows(range(first, min(first + ROWS_AT_ONCE, calls))).items():
                    insert(connection, table, found)


def measure(folder: Path) -> dict[str, float]:
    """Refresh the read model from nothing, then ask it what things cost."""
    path = folder / "teams.duckdb"
    began = time.perf_counter()
    report = refresh(sqlite_url(folder / "ledger.sqlite"), [], path)
    refresh_s = time.perf_counter() - began
    if not report.published:
        raise RuntimeError(f"the read model was not published: {report.reason}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with duckdb.connect(path, read_only=True) as connection:
        views = [
            name
            for (name,) in connection.execute(
                "select view_name from duckdb_views() where view_name like 'cost_by_%' order by all"
            ).fetchall()
        ]
        queries = {f"`{view}`, ms": f"from {view}" for view in views} | {"audit of outcomes, ms": AUDIT}
        timings = {name: _median_ms(connection, query) for name, query in queries.items()}
        calls = connection.execute("select count(*) from llm_calls").fetchall()[0][0]
    return {
        "rows of `llm_calls`": calls,
        "ledger.sqlite, MB": (folder / "ledger.sqlite").stat().st_size / 1e6,
        "teams.duckdb, MB": path.stat().st_size / 1e6,
        "read into DuckDB, s": refresh_s,
        "peak memory of it, MB": peak_mb,
        **timings,
        "peak memory with the queries, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure_view(folder: Path, view: str) -> dict[str, float]:
    """Time and peak memory of a view over the file that `measure` made."""
    with duckdb.connect(folder / "teams.duckdb", read_only=True) as connection:
        elapsed_ms = _median_ms(connection, f"from {view}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {f"`{view}`, ms": elapsed_ms, f"peak memory of `{view}`, MB": peak_mb}


def _median_ms(connection: duckdb.DuckDBPyConnection, query: str) -> float:
    timings = []
    for _ in range(QUERY_REPEATS):
        began = time.perf_counter()
        connection.execute(query).fetchall()
        timings.append(1_000 * (time.perf_counter() - began))
    return statistics.median(timings)


def _rows(numbers: Iterable[int]) -> dict[sa.Table, list[dict[str, Any]]]:
    """The rows that the calls `numbers` leave in each table."""
    made: dict[sa.Table, list[dict[str, Any]]] = {
        table: [] for table in (schema.questions, schema.attempts, schema.results, schema.answers, schema.uses)
    }
    draw = random.Random(0)
    for number in numbers:
        for table, row in _call(number, draw):
            made[table].append(row)
    return made


def _call(number: int, draw: random.Random) -> Iterator[tuple[sa.Table, dict[str, Any]]]:
    key, request_id, use_id, transition_id = (
        made_up_id(name, number) for name in ("key", "request", "use", "transition")
    )
    role = draw.choice(tuple(_PURPOSES))
    place = {
        "role": role,
        "purpose": _PURPOSES[role],
        "operation": None if role == "expert" else draw.choice(_OPERATIONS),
        "provider": "openai",
        "model": "large" if role == "expert" else "small",
        "run_id": f"run-{number // 50_000}",
        "asset_key": "expert_responses" if role == "expert" else "generated_instructions",
        "partition_key": f"2026-week-{number // 20_000:02}",
        "transition_id": transition_id,
        "sample_id": None,
    }
    usage = {
        "prompt_tokens": draw.randrange(100, 900),
        "cached_tokens": 0,
        "completion_tokens": draw.randrange(20, 400),
    }
    asked_at = _STARTED_AT + number * 1_000
    fate = draw.random()
    yield (
        schema.questions,
        {
            "request_key": key,
            **{name: place[name] for name in ("provider", "model")},
            "base_url": "https://models.example/v1",
            "rules_version": "",
            "prompt_version": made_up_id("prompt", number % 7),
            "messages": json.dumps([{"role": "user", "content": ANSWER[:200]}]),
            "temperature": 0.7,
            "top_p": 0.95,
            "max_tokens": 2048,
            "replica": 0,
        },
    )
    yield (
        schema.attempts,
        {
            "request_id": request_id,
            "request_key": key,
            "attempt": 1,
            **place,
            "process": "machine:1",
            "started_at": asked_at,
            "reserved_tokens": 4_000,
            "reserved_nano_usd": 4_000_000,
        },
    )
    if fate < 0.01:
        return  # unresolved
    failed = fate < 0.02
    yield (
        schema.results,
        {
            "request_id": request_id,
            "status": "failed" if failed else "ok",
            "outcome": None if failed else "usable",
            "error_kind": "server" if failed else None,
            "error_detail": "HTTP 500: the model is overloaded" if failed else None,
            "http_status": 500 if failed else None,
            **({} if failed else usage),
            "cost_nano_usd": None if failed else 150 * usage["prompt_tokens"] + 600 * usage["completion_tokens"],
            "price_version": made_up_id("prices", 0),
            "latency_ms": draw.uniform(200, 4_000),
            "finished_at": asked_at + 1_000_000,
        },
    )
    if not failed:
        answer = {"text": f"{number} {ANSWER}", "finish_reason": "stop", "outcome": "usable", **usage}
        yield (
            schema.answers,
            {"request_key": key, "request_id": request_id, **answer, "created_at": asked_at + 1_000_000},
        )
    yield (
        schema.uses,
        {
            "use_id": use_id,
            "answered": not failed,
            "request_key": key,
            "request_id": None if failed else request_id,
            "reused": False,
            "outcome": "failed" if failed else "usable",
            "error_kind": "server" if failed else None,
            **place,
            "asked_at": asked_at + 1_000_000,
        },
    )


def insert(connection: sqlite3.Connection, table: sa.Table, found: list[dict[str, Any]]) -> None:
    """Insert rows, with their hashes, by the driver's own bulk statement: SQLAlchemy's takes several times as long."""
    names = [column.name for column in table.columns if column.name != "seq"]
    marks = ", ".join("?" * len(names))
    hashed = [{**row, ROW_HASH: row_hash(table.name, row)} for row in found]
    values = [tuple(row.get(name) for name in names) for row in hashed]
    connection.executemany(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})", values)


def made_up_id(kind: str, number: int) -> str:
    """An id as long as a real one, the same for the same number."""
    return hashlib.blake2b(f"{kind} {number}".encode(), digest_size=16).hexdigest()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("build", "measure", "view"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--view", choices=WHOLE_VIEWS, default=WHOLE_VIEWS[0])
    arguments = parser.parse_args()
    if arguments.step == "build":
        build(arguments.folder, arguments.calls)
    elif arguments.step == "measure":
        json.dump(measure(arguments.folder), sys.stdout)
    else:
        json.dump(measure_view(arguments.folder, arguments.view), sys.stdout)


if __name__ == "__main__":
    main()
