"""The queries of a played store: appended to a file while it is played, made into a ledger afterwards.

So playing is measured without the ledger, and a store is played once for all that is measured of it.
"""

from __future__ import annotations

import json
import marshal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy as sa

from benchmarks.llm.big_ledger import insert
from teams_dagster.core.protocol import Answer, ModelIdentity, Request
from teams_dagster.ledger import schema
from teams_dagster.ledger.database import open_database, sqlite_url
from teams_dagster.llm.keys import use_id

MODEL = ModelIdentity("openai", "model", "https://models.example/v1")

RUN = "run-1"

_ASKED_AT = 1_760_000_000_000_000
_QUERIES_AT_ONCE = 20_000
_TOKENS = {"prompt_tokens": 200, "cached_tokens": 0, "completion_tokens": 100}


def keep(file: BinaryIO, request: Request, made: Answer, place: tuple[str, str], ids: dict[str, str | None]) -> None:
    """Append a query to `file`: what was asked where, by an `(asset, partition)`, for what, and what was answered."""
    intent, sampling = request.intent, request.sampling
    question = {
        "request_key": made.request_key,
        "prompt_version": request.prompt_version,
        "messages": json.dumps([{"role": each.role, "content": each.content} for each in request.messages]),
        "temperature": float(sampling.temperature),
        "top_p": float(sampling.top_p),
        "max_tokens": sampling.max_tokens,
        "replica": request.replica,
    }
    where = {
        "role": request.role.value,
        "purpose": intent.purpose.value,
        "operation": intent.operation.value if intent.operation else None,
        "asset_key": place[0],
        "partition_key": place[1],
        **ids,
    }
    marshal.dump((question, where, made.request_id, made.completion.text), file)


def make_ledger(file: Path, folder: Path) -> None:
    """A ledger in `folder` of the queries in `file`, each asked once and answered."""
    open_database(sqlite_url(folder / "ledger.sqlite")).dispose()
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        for pragma in ("synchronous=OFF", "journal_mode=OFF", "cache_size=-4000000"):
            connection.execute(f"PRAGMA {pragma}")
        queries = enumerate(_kept(file), start=1)
        while some := list(islice(queries, _QUERIES_AT_ONCE)):
            rows = [row for number, query in some for row in _rows(number, *query)]
            for table in schema.HISTORY:
                insert(connection, table, [row for named, row in rows if named is table])
        connection.commit()
        connection.execute("PRAGMA journal_mode=WAL")


def _kept(file: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any], str, str]]:
    with file.open("rb") as queries:
        while True:
            try:
                yield marshal.load(queries)
            except EOFError:
                return


def _rows(
    number: int, asked: dict[str, Any], where: dict[str, Any], request_id: str, text: str
) -> list[tuple[sa.Table, dict[str, Any]]]:
    """What the engine writes down of a query."""
    at = _ASKED_AT + number * 1_000
    ids = {"request_key": asked["request_key"], "request_id": request_id}
    place = {"provider": MODEL.provider, "model": MODEL.model, "run_id": RUN, **where}
    asker = (where["asset_key"], where["partition_key"], where["transition_id"], where["sample_id"], where["purpose"])
    result = {
        "request_id": request_id,
        "status": "ok",
        "outcome": "usable",
        **_TOKENS,
        "cost_nano_usd": 70_000,
        "price_version": "prices-1",
        "latency_ms": 800.0,
        "finished_at": at,
    }
    said = {**ids, "text": text, "finish_reason": "stop", "outcome": "usable", **_TOKENS, "created_at": at}
    used = {"answered": True, **ids, "reused": False, "outcome": "usable", **place, "asked_at": at}
    return [
        (
            schema.questions,
            {
                **asked,
                "provider": MODEL.provider,
                "model": MODEL.model,
                "base_url": MODEL.base_url,
                "rules_version": "",
            },
        ),
        (schema.attempts, {**ids, "attempt": 1, **place, "process": "machine:1", "started_at": at}),
        (schema.results, result),
        (schema.answers, said),
        (schema.uses, {"use_id": use_id(RUN, *asker, asked["request_key"]), **used}),
    ]
