"""The account of a whole SQLite ledger, added up in one pass over its rows in their order.

SQLite joins by looking each result up by its attempt's id. Ids are drawn at random, so that of many rows neither index
nor table stays in memory, and each row takes longer the more there are; and it sorts rows to group them. Attempts and
results are written as things happen: read side by side in that order, a result is met soon after its attempt, and
memory holds the attempts that wait for theirs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from teams_dagster.ledger.schema import attempts, results

Group = tuple[Any, ...]
"""The values of the columns that rows are told apart by."""

SUMS = ("calls", "ok", "failed", "unresolved", "unpriced")
TOKENS_AND_COST = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_nano_usd")

_CALLS, _OK, _FAILED, _UNRESOLVED, _UNPRICED, _PROMPT, _CACHED, _COMPLETION, _COST = range(9)

_AT_ONCE = 2_048


def sent_by_group(connection: sa.Connection, by: Sequence[sa.ColumnElement[Any]]) -> dict[Group, dict[str, int]]:
    """What the attempts brought, by the columns `by`. `connection` is one of `read_snapshot`."""
    sent = _rows(connection, sa.select(attempts.c.request_id, *by).order_by(attempts.c.seq))
    brought = sa.select(results.c.request_id, results.c.status, *(results.c[name] for name in TOKENS_AND_COST))
    groups, waiting = defaultdict[Group, list[int]](lambda: [0] * 9), dict[str, list[int]]()
    for request_id, status, prompt, cached, completion, cost in _rows(connection, brought.order_by(results.c.seq)):
        sums = waiting.pop(request_id, None)
        while sums is None and _read_on(sent, groups, waiting):
            sums = waiting.pop(request_id, None)
        if sums is None:
            continue  # of no attempt at all
        sums[_CALLS] += 1
        if status == "ok":
            sums[_OK] += 1
            sums[_UNPRICED] += cost is None
        elif status == "failed":
            sums[_FAILED] += 1
        sums[_PROMPT] += prompt or 0
        sums[_CACHED] += cached or 0
        sums[_COMPLETION] += completion or 0
        sums[_COST] += cost or 0
    while _read_on(sent, groups, waiting):
        continue
    for sums in waiting.values():
        sums[_CALLS] += 1
        sums[_UNRESOLVED] += 1
    return {group: dict(zip((*SUMS, *TOKENS_AND_COST), sums, strict=True)) for group, sums in groups.items()}


def asked_by_group(connection: sa.Connection, asked: sa.Select[*tuple[Any, ...]]) -> dict[Group, dict[str, int]]:
    """How many queries were asked, and reused: rows of `asked` are a group's values, and whether it was reused."""
    found = defaultdict[Group, dict[str, int]](lambda: {"asked": 0, "reused": 0})
    for (*group, reused), count in Counter(_rows(connection, asked)).items():
        counts = found[tuple(group)]
        counts["asked"] += count
        counts["reused"] += count if reused else 0
    return dict(found)


def _read_on(sent: Iterator[Group], groups: Mapping[Group, list[int]], waiting: dict[str, list[int]]) -> bool:
    """Let the next attempts wait for their results. Whether there were more."""
    read = False
    for row in islice(sent, _AT_ONCE):
        waiting[row[0]] = groups[row[1:]]
        read = True
    return read


def _rows(connection: sa.Connection, selected: sa.Select[*tuple[Any, ...]]) -> Iterator[Group]:
    """The rows as the driver gives them: SQLAlchemy's own take as long again."""
    statement = selected.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    return iter(connection.connection.cursor().execute(str(statement)))
