"""The tables and views of the read model: the statements that make them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from importlib import resources
from itertools import chain
from pathlib import Path
from string import Template

import duckdb

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import ErrorKind, Outcome
from teams_dagster.store.tables import TABLES
from teams_dagster.store.transition_row import EDIT_ANSWERS

COST_VIEWS = {
    "asset": "asset_key",
    "role": "role",
    "operation": "operation",
    "model": "provider, model",
}
"""The views `cost_by_<name>` and the columns they group by."""

_LINEAGE = {
    "view sample_lineage as": {
        **dict.fromkeys(("of_samples", "of_answers", "of_texts", "of_calls"), ""),
        "materialized": "not materialized",
    },
    "macro lineage_of(sample) as table": {
        "of_samples": "where samples.sample_id = sample and hops.sample_id = sample"
        " and step.transition_id in (select transition_id from sample_hops where sample_id = sample)",
        "of_answers": "and given.sample_id = sample",
        "of_texts": "where instruction_id in (select unnest([parent_id, instruction_id]) from steps)",
        "of_calls": f"where request_id in (select unnest([{', '.join(EDIT_ANSWERS)}, respond_request_id]) from steps)",
        "materialized": "materialized",
    },
}
"""The lineage of all samples, and of one: the macro looks up what its steps name, where a filter on the view joins all
texts and calls first."""


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Make all tables and views, empty."""
    connection.execute(statement("create_tables"))
    for table in TABLES.values():
        connection.register("empty", table.schema.empty_table())
        connection.execute(f"create table {table.name} as select * from empty")
        connection.unregister("empty")
    for view in _views():
        connection.execute(view)


def version() -> str:
    """Changes with every change of a table or a view, so that an old file is made anew and not patched."""
    schemas = [str(table.schema) for table in TABLES.values()]
    return content_hash("read_model", statement("create_tables"), schemas, _views())


def statement(name: str, /, **filled_in: str) -> str:
    """The SQL of `sql/<name>.sql`, its `$placeholders` filled in."""
    return Template(_text(name)).substitute(filled_in)


def rows() -> dict[str, str]:
    """What a row is, of each table and view of the read model."""
    return _described()["rows"]


def columns() -> dict[str, dict[str, str]]:
    """What each column holds, of each table and view that is not an asset's table (`tables.TABLES`)."""
    described = {name: held for name, held in _described().items() if name != "rows"}
    shared = described.pop("cost_by")
    groupings = {name: grouped.split(", ") for name, grouped in COST_VIEWS.items()}
    figures = [column for column in shared if column not in chain(*groupings.values())]
    for name, grouped in groupings.items():
        described[f"cost_by_{name}"] = {column: shared[column] for column in (*grouped, *figures)}
    return described


def _described() -> dict[str, dict[str, str]]:
    return tomllib.loads(Path(__file__).with_name("sql").joinpath("columns.toml").read_text("utf-8"))


def _views() -> list[str]:
    return [
        *(statement("cost_by", name=name, columns=columns) for name, columns in COST_VIEWS.items()),
        statement("chosen_samples"),
        *(statement("sample_lineage", what=what, **parts) for what, parts in _LINEAGE.items()),
        _request_outcomes(),
        statement("ledger_audit", outcomes=_literals(Outcome), error_kinds=_literals(ErrorKind)),
    ]


def _request_outcomes() -> str:
    """Every outcome but `usable` and every kind of error is a column, so a new one appears by itself."""
    conditions = {outcome.value: f"outcome = '{outcome}'" for outcome in Outcome if outcome is not Outcome.USABLE}
    conditions |= {kind.value: f"outcome = 'failed' and error_kind = '{kind}'" for kind in ErrorKind}
    columns = [f'count(*) filter ({condition}) as "{name}"' for name, condition in conditions.items()]
    names = [f'"{name}"' for name in conditions]
    return statement("request_outcomes", causes=",\n    ".join(columns), sum_of_causes=" + ".join(names))


def _literals(values: Iterable[StrEnum]) -> str:
    return ", ".join(f"'{value}'" for value in values)


@cache
def _text(name: str) -> str:
    return resources.files("teams_dagster.store.sql").joinpath(f"{name}.sql").read_text("utf-8")
