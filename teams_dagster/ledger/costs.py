"""What was asked and what it cost, straight from the ledger database: always the latest, from any process."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa

from teams_dagster.ledger.schema import attempts, results, uses
from teams_dagster.ledger.writer import Ledger

COLUMNS = ("role", "purpose", "operation", "provider", "model", "run_id", "asset_key", "partition_key")
"""What costs can be told apart by."""

IDS_AT_ONCE = 1_000
"""Ids of one query: databases bound the number of its parameters."""


@dataclass(frozen=True)
class Cost:
    """One group's account."""

    group: Mapping[str, str | None]
    """The value of each column it is grouped by."""
    asked: int = 0
    """Questions asked, reused and failed ones included; a step that ran again does not count twice."""
    reused: int = 0
    calls: int = 0
    """Attempts sent."""
    ok: int = 0
    failed: int = 0
    unresolved: int = 0
    """Attempts without a result: in flight, or lost with their process; perhaps paid."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_nano_usd: int = 0
    """Of the calls whose price is known."""
    unpriced: int = 0
    """Billed calls whose price is not known."""


def costs_by(ledger: Ledger, columns: Sequence[str]) -> list[Cost]:
    """The account grouped by `columns` (of `COLUMNS`), ordered by them. Raises ValueError for another column."""
    if unknown := [column for column in columns if column not in COLUMNS]:
        raise ValueError(f"costs cannot be grouped by {', '.join(unknown)}; choose from {', '.join(COLUMNS)}")
    with ledger.engine.connect() as connection:
        sent = connection.execute(_sent(columns)).all()
        asked = connection.execute(_asked(columns)).all()
    found: dict[tuple[str | None, ...], dict[str, int]] = {}
    for row in (*sent, *asked):
        values = dict(row._mapping)
        group = tuple(values.pop(column) for column in columns)
        found.setdefault(group, {}).update({name: int(value or 0) for name, value in values.items()})
    ordered = sorted(found.items(), key=lambda item: [(value is None, value or "") for value in item[0]])
    return [Cost(dict(zip(columns, group, strict=True)), **numbers) for group, numbers in ordered]


def total_cost(ledger: Ledger) -> Cost:
    """The whole account."""
    whole = costs_by(ledger, ())
    return whole[0] if whole else Cost({})


def _sent(columns: Sequence[str]) -> sa.Select:
    by = [attempts.c[column] for column in columns]
    ok = results.c.status == "ok"
    return (
        sa.select(
            *by,
            sa.func.count().label("calls"),
            sa.func.count().filter(ok).label("ok"),
            sa.func.count().filter(results.c.status == "failed").label("failed"),
            sa.func.count().filter(results.c.status.is_(None)).label("unresolved"),
            sa.func.sum(results.c.prompt_tokens).label("prompt_tokens"),
            sa.func.sum(results.c.cached_tokens).label("cached_tokens"),
            sa.func.sum(results.c.completion_tokens).label("completion_tokens"),
            sa.func.sum(results.c.cost_nano_usd).label("cost_nano_usd"),
            sa.func.count().filter(ok, results.c.cost_nano_usd.is_(None)).label("unpriced"),
        )
        .select_from(attempts.outerjoin(results, attempts.c.request_id == results.c.request_id))
        .group_by(*by)
    )


def _asked(columns: Sequence[str]) -> sa.Select:
    by = [uses.c[column] for column in columns]
    return sa.select(
        *by,
        sa.func.count(uses.c.use_id.distinct()).label("asked"),
        sa.func.count().filter(uses.c.reused).label("reused"),
    ).group_by(*by)


def answered_requests(ledger: Ledger, request_ids: Collection[str]) -> set[str]:
    """Those of `request_ids` that the ledger knows as billed attempts."""
    return {request_id for request_id, _ in _billed(ledger, request_ids)}


def cost_of_requests(ledger: Ledger, request_ids: Collection[str]) -> int | None:
    """What these billed attempts cost, in nano-dollars; None when one of them has no known price."""
    costs = [cost for _, cost in _billed(ledger, request_ids)]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _billed(ledger: Ledger, request_ids: Collection[str]) -> Iterator[tuple[str, int | None]]:
    """Request id and cost of those of `request_ids` that brought a completion."""
    wanted = sa.select(results.c.request_id, results.c.cost_nano_usd).where(results.c.status == "ok")
    with ledger.engine.connect() as connection:
        for start in range(0, len(request_ids), IDS_AT_ONCE):
            ids = list(islice(request_ids, start, start + IDS_AT_ONCE))
            for row in connection.execute(wanted.where(results.c.request_id.in_(ids))):
                yield row.request_id, row.cost_nano_usd
