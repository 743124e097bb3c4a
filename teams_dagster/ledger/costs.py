"""What was asked and what it cost, straight from the ledger database: always the latest, from any process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from teams_dagster.core.protocol import Outcome
from teams_dagster.ledger.adding_up import asked_by_group, sent_by_group
from teams_dagster.ledger.database import naming_ledger, read_address, read_snapshot
from teams_dagster.ledger.schema import attempts, results, uses
from teams_dagster.ledger.writer import Ledger

DAY = "day"
"""The day of a query or a call, UTC."""

COLUMNS = (
    "role",
    "purpose",
    "operation",
    "provider",
    "model",
    "run_id",
    "asset_key",
    "partition_key",
    "transition_id",
    "sample_id",
    DAY,
)
"""What costs can be told apart by."""

_DAY_US = 86_400_000_000

IDS_AT_ONCE = 1_000
"""Ids of one query: databases bound the number of its parameters."""


@dataclass(frozen=True)
class Cost:
    """One group's account."""

    group: Mapping[str, str | None]
    """The value of each column it is grouped by."""
    asked: int = 0
    """Queries asked, reused and failed ones included; a step that ran again does not count twice."""
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


_COUNTS = tuple(each.name for each in fields(Cost) if each.name != "group")


@dataclass(frozen=True)
class Questions:
    """What became of the queries of one group: asked = kept + every cause."""

    group: Mapping[str, str | None]
    kept: int = 0
    """Usable answers."""
    causes: Mapping[str, int] = field(default_factory=dict[str, int])
    """The others: an answer's outcome, or `failed: ` and the kind of error."""

    @property
    def asked(self) -> int:
        """Queries asked; a step that ran again does not count twice."""
        return self.kept + sum(self.causes.values())


@contextmanager
def existing_ledger(url: str) -> Generator[Ledger | None]:
    """The ledger at `url`; None where there is none yet, so that looking makes no file. Raises LedgerError."""
    address = read_address(url)
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file():
        yield None
        return
    with naming_ledger(url), Ledger(url) as ledger:
        yield ledger


def costs_by(ledger: Ledger, columns: Sequence[str], where: Mapping[str, str | None] | None = None) -> list[Cost]:
    """The account grouped by `columns` (of `COLUMNS`), ordered by them.

    `where` keeps the rows whose columns have these values (None: none at all); a day is YYYY-MM-DD. Raises ValueError
    for another column, or for what is no day.
    """
    _refuse_unknown((*columns, *(where or {})))
    found: dict[tuple[str | None, ...], dict[str, int]] = {} if columns else {(): {}}
    for group, values in _account(ledger, columns, where or {}):
        shown = tuple(map(_shown, columns, group))
        found.setdefault(shown, {}).update(values)
    return [Cost(dict(zip(columns, group, strict=True)), **found[group]) for group in _ordered(found)]


def costs_together(costs: Iterable[Cost], columns: Sequence[str]) -> list[Cost]:
    """Costs that are told apart by `columns` and more, told apart by `columns` alone, as `costs_by` gives them."""
    found: dict[tuple[str | None, ...], Counter[str]] = {}
    for cost in costs:
        group = tuple(cost.group[column] for column in columns)
        found.setdefault(group, Counter()).update({name: getattr(cost, name) for name in _COUNTS})
    return [Cost(dict(zip(columns, group, strict=True)), **found[group]) for group in _ordered(found)]


def total_cost(ledger: Ledger, where: Mapping[str, str | None] | None = None) -> Cost:
    """The whole account, or that of the rows `where`."""
    whole = costs_by(ledger, (), where)
    return whole[0] if whole else Cost({})


def outcomes_by(
    ledger: Ledger, columns: Sequence[str], where: Mapping[str, str | None] | None = None
) -> list[Questions]:
    """What became of the queries asked, grouped by `columns` and kept `where` as in `costs_by`; causes by name.

    A query that failed and was answered when the step ran again counts as answered.
    """
    _refuse_unknown((*columns, *(where or {})))
    with ledger.engine.connect() as connection:
        rows = connection.execute(_outcomes(columns, where or {})).mappings().all()
    found: dict[tuple[str | None, ...], dict[str, int]] = {}
    for values in rows:
        group = tuple(_shown(column, values[column]) for column in columns)
        cause = values["outcome"] if values["answered"] else f"failed: {values['error_kind']}"
        found.setdefault(group, {})[cause] = values["questions"]
    return [
        Questions(dict(zip(columns, group, strict=True)), counts.pop(Outcome.USABLE, 0), dict(sorted(counts.items())))
        for group, counts in ((group, found[group]) for group in _ordered(found))
    ]


def outcomes_of_step(
    ledger: Ledger, run_id: str, asset_key: str, partition_key: str | None
) -> dict[str, dict[str, Any]]:
    """What became of the queries that one step asked: by purpose, `asked`, `kept` and the `causes` of the others."""
    rows = {"run_id": run_id, "asset_key": asset_key, "partition_key": partition_key}
    found = outcomes_by(ledger, ["purpose"], rows)
    return {str(q.group["purpose"]): {"asked": q.asked, "kept": q.kept, "causes": dict(q.causes)} for q in found}


def _account(
    ledger: Ledger, columns: Sequence[str], where: Mapping[str, str | None]
) -> Iterator[tuple[tuple[Any, ...], dict[str, int]]]:
    """By group, what attempts brought, and then how many queries were asked.

    Of some rows, and where the database can join and group by hashes, it is what two statements give.
    """
    with read_snapshot(ledger.engine) as connection:
        if connection.dialect.name == "sqlite" and not where:
            yield from sent_by_group(connection, [_column(attempts, column) for column in columns]).items()
            each = sa.select(*(_column(uses, column) for column in columns), uses.c.reused).where(_counts())
            yield from asked_by_group(connection, each).items()
            return
        for statement in (_sent(columns, where), _asked(columns, where)):
            for row in connection.execute(statement).mappings():
                values = dict(row)
                yield (
                    tuple(values.pop(column) for column in columns),
                    {name: int(value or 0) for name, value in values.items()},
                )


def _sent(columns: Sequence[str], where: Mapping[str, str | None]) -> sa.Select[*tuple[Any, ...]]:
    by = [_column(attempts, column) for column in columns]
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
        .where(*_conditions(attempts, where))
        .group_by(*by)
    )


def _asked(columns: Sequence[str], where: Mapping[str, str | None]) -> sa.Select[*tuple[Any, ...]]:
    by = [_column(uses, column) for column in columns]
    return (
        sa.select(
            *by,
            sa.func.count().label("asked"),
            sa.func.count().filter(uses.c.reused).label("reused"),
        )
        .where(_counts(), *_conditions(uses, where))
        .group_by(*by)
    )


def _outcomes(columns: Sequence[str], where: Mapping[str, str | None]) -> sa.Select[*tuple[Any, ...]]:
    by = [_column(uses, column) for column in columns]
    reasons = (uses.c.answered, uses.c.outcome, uses.c.error_kind)
    return (
        sa.select(*by, *reasons, sa.func.count().label("questions"))
        .where(_counts(), *_conditions(uses, where))
        .group_by(*by, *reasons)
    )


def _counts() -> sa.ColumnElement[bool]:
    """Of a query that failed and was answered when the step ran again, the answered row counts."""
    answered = uses.alias("answered")
    return sa.or_(uses.c.answered, ~sa.exists().where(answered.c.use_id == uses.c.use_id, answered.c.answered))


def _refuse_unknown(columns: Iterable[str]) -> None:
    if unknown := [column for column in columns if column not in COLUMNS]:
        raise ValueError(f"costs cannot be told apart by {', '.join(unknown)}; choose from {', '.join(COLUMNS)}")


def _moment(table: sa.Table) -> sa.ColumnElement[int]:
    return table.c.started_at if table is attempts else table.c.asked_at


def _column(table: sa.Table, name: str) -> sa.ColumnElement[Any]:
    """What rows are grouped by: a day is the number of days since the epoch."""
    if name != DAY:
        return table.c[name]
    return (_moment(table) // sa.literal_column(str(_DAY_US), sa.BigInteger)).label(DAY)


def _conditions(table: sa.Table, where: Mapping[str, str | None]) -> Iterator[sa.ColumnElement[bool]]:
    for name, value in where.items():
        if name != DAY:
            yield table.c[name] == value
        elif value is not None:
            begin = _microseconds(value)
            yield _moment(table).between(begin, begin + _DAY_US - 1)


def _microseconds(day: str) -> int:
    try:
        begin = datetime.combine(date.fromisoformat(day), time(), UTC)
    except ValueError:
        raise ValueError(f"{day!r} is no day: write YYYY-MM-DD") from None
    return int(begin.timestamp()) * 1_000_000


def _shown(column: str, value: Any) -> str | None:
    """A group's value as people write it."""
    if column == DAY:
        return (date(1970, 1, 1) + timedelta(days=int(value))).isoformat()
    return value


def _ordered(groups: Iterable[tuple[str | None, ...]]) -> list[tuple[str | None, ...]]:
    """The groups by their columns' values, those without a value last."""
    return sorted(groups, key=lambda group: [(value is None, value or "") for value in group])


def answered_requests(ledger: Ledger, request_ids: Iterable[str]) -> set[str]:
    """Those of `request_ids` that the ledger knows as billed attempts."""
    return {request_id for request_id, _ in _billed(ledger, request_ids)}


def cost_of_requests(ledger: Ledger, request_ids: Iterable[str]) -> int | None:
    """What these billed attempts, each named once, cost, in nano-dollars; None when one of them has no known price."""
    total = 0
    for _, cost in _billed(ledger, request_ids):
        if cost is None:
            return None
        total += cost
    return total


def costs_of(ledger: Ledger, request_ids: Iterable[str]) -> dict[str, int | None]:
    """What each of these billed attempts cost, in nano-dollars; None where no price is known."""
    return dict(_billed(ledger, request_ids))


def _billed(ledger: Ledger, request_ids: Iterable[str]) -> Iterator[tuple[str, int | None]]:
    """Request id and cost of those of `request_ids` that brought a completion."""
    wanted = sa.select(results.c.request_id, results.c.cost_nano_usd).where(results.c.status == "ok")
    waiting = iter(request_ids)
    with ledger.engine.connect() as connection:
        while ids := list(islice(waiting, IDS_AT_ONCE)):
            for row in connection.execute(wanted.where(results.c.request_id.in_(ids))):
                yield row.request_id, row.cost_nano_usd
