"""A change in teams.duckdb, which people can write to, is found by making it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from teams_dagster.core.row_hash import ROW_HASH
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.artefacts import stored_artefacts
from teams_dagster.store.comparing import SourcesMoved, TableDifference, compare_read_model
from teams_dagster.store.publishing import NotNow
from teams_dagster.store.read_model import refresh
from teams_dagster.store.tables import TABLES, Table, write_table
from tests.support.entries import ask, ask_in_vain, intend
from tests.support.processes import until
from tests.support.workers import Crew, hold_open

ROWS = 60
"""More than any table has columns."""
ABOUT = {"code_version": "1", "config": {}, "inputs": {}, "run_id": "run", "made_at": "2026-11-02T03:00:00+00:00"}


class Store:
    def __init__(self, folder: Path) -> None:
        self.folder, self.url, self.model = folder, sqlite_url(folder / "ledger.sqlite"), folder / "teams.duckdb"
        self.ask(*(f"question {number}" for number in range(ROWS)))
        with Ledger(self.url) as ledger:
            ask_in_vain(ledger, "in vain")
            intend(ledger, "unresolved")
        with ArtefactStore(data_dir=str(folder)).writing("everything", "f" * 16, about=ABOUT) as draft:
            for table in TABLES.values():
                write_table(draft.folder, table.name, [_row(table, number) for number in range(ROWS)])
            draft.finish("v1", {})
        self.refresh()

    def ask(self, *names: str) -> None:
        with Ledger(self.url) as ledger:
            ask(ledger, *names)

    def refresh(self) -> None:
        refresh(self.url, stored_artefacts(self.folder), self.model)

    def compare(self) -> list[TableDifference]:
        return compare_read_model(self.url, stored_artefacts(self.folder), self.model)

    def execute(self, *statements: str) -> None:
        with duckdb.connect(self.model) as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_a_file_that_nobody_wrote_to_is_what_its_sources_give(store: Store):
    assert store.compare() == []
    assert not list(store.folder.glob(".teams.duckdb.*[!k]")), "what was made anew is gone"


@pytest.mark.slow
def test_a_change_of_any_field_is_found(store: Store):
    """Of each table, another column is changed in each row; `artefacts` and `sample_hops` follow from the others."""
    with duckdb.connect(store.model) as connection:
        tables = ("llm_calls", "llm_requests", "answers", *TABLES)
        changed = []
        for table in tables:
            columns = connection.execute(f"describe {table}").fetchall()
            rows = [row for (row,) in connection.execute(f"select rowid from {table} order by all").fetchall()]
            for (column, kind, *_), row in zip(columns, rows, strict=False):
                connection.execute(f"update {table} set {column} = {_another(column, kind)} where rowid = {row}")
            changed.append(TableDifference(table, len(columns), len(columns)))
    assert sorted(store.compare(), key=repr) == sorted(changed, key=repr)


def _row(table: Table, number: int) -> dict[str, Any]:
    """A row of any table; no two have a column in common that names them."""
    values = {"string": f"x{number}", "int64": number, "double": number / 4, "bool": True}
    row = {field.name: values[str(field.type)] for field in table.schema if field.name != ROW_HASH}
    return row | ({"parent_transition_id": None} if "parent_transition_id" in row else {})


def _another(column: str, kind: str) -> str:
    """Another value of a column, in SQL."""
    if kind.startswith("STRUCT"):
        return f"struct_update({column}, prompt_tokens := 77)"
    if kind == "TIMESTAMP":
        return f"coalesce({column}, timestamp '2020-01-01') + interval 1 second"
    return {"VARCHAR": "'other'", "BOOLEAN": f"not coalesce({column}, false)"}.get(kind, f"coalesce({column}, 0) + 1")


def test_rows_that_are_added_or_taken_away_are_counted(store: Store):
    store.execute("delete from answers", "insert into seeds select * from seeds")
    assert store.compare() == [TableDifference("answers", 0, ROWS), TableDifference("seeds", ROWS, 0)]


def test_a_view_that_says_something_else_is_found(store: Store):
    store.execute("create or replace view cost_by_role as select 'expert' as role, 0 as asked")
    assert store.compare() == [TableDifference("the views' definitions", 1, 1)]


def test_tables_of_people_are_theirs(store: Store):
    store.execute("create table notes as select 1 as note")
    assert store.compare() == []


def test_a_file_that_is_behind_is_not_compared(store: Store):
    store.ask("e")
    with pytest.raises(SourcesMoved, match="behind its sources"):
        store.compare()


def test_a_file_that_somebody_writes_to_is_not_compared(store: Store, tmp_path: Path):
    with Crew(tmp_path) as crew:
        holder = crew.start(hold_open, store.model)
        until(lambda: "held" in holder.lines)
        with pytest.raises(NotNow):
            store.compare()
