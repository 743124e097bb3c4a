"""Page: the tables and views of `teams.duckdb`, from the read model as it makes itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import duckdb

from assets.columns import descriptions
from docs.generate.markdown import code, table
from teams_dagster.core.row_hash import ROW_HASH
from teams_dagster.dataset import formats, provenance
from teams_dagster.store import views

INTRODUCTION = """# Tables

`teams.duckdb` in the data folder is a read model: it is made from the ledger database and from the Parquet files of the
assets, and can be deleted at any time. [Lineage](../lineage.md) and [Cost and budgets](../costs.md) have examples.

- Times are UTC. Money is in integer nano-dollars (`cost_nano_usd / 1e9` is dollars), NULL where no price is known.
- Ids and versions are content hashes unless said otherwise. Every stored row carries `row_hash`, the hash of its other
  fields; the Python module of that name says how it is computed.
- A *query* is what is asked of a model, once; an *attempt* is one sending of it.
"""

GROUPS = {
    "Queries": ("llm_calls", "llm_requests", "answers"),
    "How samples came about": (
        "seeds",
        "refused_seeds",
        "prompt_templates",
        "policies",
        "generations",
        "instructions",
        "transitions",
        "samples",
        "sample_hops",
        "sample_lineage",
    ),
    "Datasets, models and scores": (),
    "Accounting": (
        "cost_by_asset",
        "cost_by_role",
        "cost_by_operation",
        "cost_by_model",
        "request_outcomes",
        "ledger_audit",
    ),
    "The read model itself": ("artefacts", "read_model_state"),
}
"""Headings in order; what none of the others names is under the one that is empty."""


@dataclass(frozen=True)
class Column:
    """A column as DuckDB has it, and what it holds."""

    name: str
    type: str
    nullable: bool
    description: str


@cache
def read_model() -> dict[str, tuple[str, list[Column]]]:
    """Kind (`table` or `view`) and columns of everything in an empty read model. Raises KeyError for a column that
    nothing describes."""
    told = {**descriptions(), **views.columns()}
    found: dict[str, tuple[str, list[Column]]] = {}
    with duckdb.connect() as connection:
        views.create(connection)
        rows = connection.execute(
            "select table_name, if(table_type = 'VIEW', 'view', 'table'), column_name, data_type, is_nullable = 'YES'"
            " from information_schema.columns join information_schema.tables using (table_name)"
            " order by table_name, ordinal_position"
        ).fetchall()
    for name, kind, column, type_, nullable in rows:
        description = "Hash of the row's other fields" if column == ROW_HASH else told[name][column]
        found.setdefault(name, (kind, []))[1].append(Column(column, type_.lower(), nullable, description))
    return found


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_sections(), *_exported()])


def _sections() -> Iterator[str]:
    found, rows = read_model(), views.rows()
    placed = {name for names in GROUPS.values() for name in names}
    for heading, names in GROUPS.items():
        yield f"## {heading}\n"
        for name in names or [name for name in rows if name not in placed]:
            kind, columns = found[name]
            yield f"### {name} {{ data-toc-label='{name}' }}\n"
            yield f"{kind.capitalize()}. A row is {rows[name][0].lower()}{rows[name][1:]}\n"
            yield table(("Column", "Type", "What it holds"), map(_row, columns))


def _row(column: Column) -> tuple[str, str, str]:
    kind = "struct" if column.type.startswith("struct") else column.type
    return code(column.name), kind, column.description


def _exported() -> Iterator[str]:
    header = ("Column", "Type", "What it holds")
    yield "## Exported files\n"
    yield "### split.parquet { data-toc-label='split.parquet' }\n"
    yield "`train.parquet`, `validation.parquet` and `held_out.parquet`. A row is one sample.\n"
    yield table(header, [(code(name), "string", told) for name, told in (formats.COLUMNS | formats.REASONING).items()])
    yield "### lineage.parquet { data-toc-label='lineage.parquet' }\n"
    yield "A row is one sample, and where it comes from.\n"
    yield table(header, [(code(column.name), str(column.kind), column.description) for column in provenance.COLUMNS])
