"""A changed byte in any stored field is found, and named."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.core.row_hash import ROW_HASH, row_hash
from teams_dagster.ledger.database import LedgerLost, sqlite_url
from teams_dagster.ledger.schema import HISTORY, seals
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.artefacts import stored_artefacts
from teams_dagster.store.integrity import GONE, NOT_SEALED, OF_ANOTHER, RecordedHead, Verification, verify_storage
from teams_dagster.store.read_model import RefreshReport, refresh
from teams_dagster.store.tables import TABLES, write_table
from tests.support.entries import ask, ask_in_vain, intend
from tests.support.forged import forge_chain
from tests.support.properties import example_count

VALUES = {pa.string(): "x", pa.int64(): 1, pa.float64(): 0.5, pa.bool_(): True}
OTHERS = {pa.string(): "y", pa.int64(): 2, pa.float64(): 0.25, pa.bool_(): False}

ABOUT = {
    "code_version": "1",
    "config": {},
    "inputs": {},
    "run_id": "run",
    "made_at": "2026-11-02T03:00:00.000000+00:00",
}


class Store:
    """A data folder with a small ledger and an artefact that has every table, sealed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = sqlite_url(folder / "ledger.sqlite")
        with Ledger(self.url) as ledger:
            ask(ledger, "a", "b")
            ask_in_vain(ledger, "c")
            intend(ledger, "d")
        artefacts = ArtefactStore(data_dir=str(folder))
        with artefacts.writing("everything", "f" * 16, about=ABOUT) as draft:
            for name, table in TABLES.items():
                rows = [
                    {field.name: values[field.type] for field in table.schema if field.name != ROW_HASH}
                    for values in (VALUES, OTHERS)
                ]
                write_table(draft.folder, name, rows)
            (draft.folder / "notes.txt").write_text("as they were")
            draft.finish("v1", {"rows": 2})
        self.artefact = artefacts.current("everything").folder
        self.sealed = self.refresh()

    def refresh(self) -> RefreshReport:
        return refresh(self.url, stored_artefacts(self.folder), self.folder / "teams.duckdb")

    @property
    def recorded(self) -> RecordedHead:
        return RecordedHead(self.sealed.head, self.sealed.ledger_id, "somebody's notebook")

    def verify(self, *recorded: RecordedHead) -> Verification:
        return verify_storage(self.url, self.folder, recorded or [self.recorded])

    def execute(self, statement: str, *values: Any) -> None:
        with sqlite3.connect(self.folder / "ledger.sqlite") as connection:
            connection.execute(statement, values)
        connection.close()

    def forge(self) -> None:
        """Make the whole chain anew over what is stored now, as somebody with this code could."""
        forge_chain(self.url)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def store(untouched: Store, tmp_path: Path) -> Store:
    """A copy, at another place."""
    folder = tmp_path / "copied"
    shutil.copytree(untouched.folder, folder)
    copied = object.__new__(Store)
    copied.__dict__.update(
        folder=folder,
        url=sqlite_url(folder / "ledger.sqlite"),
        artefact=folder / untouched.artefact.relative_to(untouched.folder),
        sealed=untouched.sealed,
    )
    return copied


def test_what_is_as_it_was_written_is_counted(store: Store):
    found = store.verify()
    rows = 4 + 4 + 3 + 2 + 3  # questions, attempts, results, answers, uses
    assert (found.verified, found.differing, found.not_verified) == (rows + len(TABLES) + 1, 0, {})


@pytest.mark.slow
@pytest.mark.parametrize("table", HISTORY, ids=lambda table: table.name)
def test_a_change_of_any_field_of_the_ledger_is_found(store: Store, table: sa.Table):
    for column in table.c:
        if column.name == "seq":
            continue
        kind = str(column.type)
        changed = "'changed'" if kind == "TEXT" else f"coalesce({column.name}, 0) + 1"
        backup = store.folder / "backup.sqlite"
        shutil.copy(store.folder / "ledger.sqlite", backup)
        store.execute(f"update {table.name} set {column.name} = {changed} where seq = 1")
        found = store.verify()
        assert found.differing, column.name
        first = found.differences[0]
        assert (first.table, first.row_id) == (table.name, "row 1"), column.name
        backup.replace(store.folder / "ledger.sqlite")
    assert not store.verify().differing


def test_a_row_that_is_taken_away_or_added_or_put_elsewhere_is_found(store: Store):
    store.execute("delete from uses where seq = 2")
    assert "their number" in str(store.verify().differences[0])
    store.execute("insert into uses select * from uses where false")
    store.execute("update answers set seq = seq + 100 where seq = 1")
    assert any(found.table == "answers" for found in store.verify().differences)


def test_a_value_of_another_type_is_an_error_that_names_the_table(store: Store):
    store.execute("update results set latency_ms = 'soon' where seq = 1")
    with pytest.raises(Exception, match="table results was changed"):
        store.verify()


def test_a_row_that_was_changed_together_with_its_hash_is_not_what_was_sealed(store: Store):
    with sqlite3.connect(store.folder / "ledger.sqlite") as connection:
        connection.row_factory = sqlite3.Row
        row = dict(connection.execute("select * from answers where seq = 1").fetchone())
        row |= {"text": "another answer"}
        digest = row_hash("answers", {name: value for name, value in row.items() if name != "seq"})
    connection.close()
    store.execute("update answers set text = 'another answer', row_hash = ? where seq = 1", digest)
    found = store.verify()
    assert [(each.table, each.row_id, each.column) for each in found.differences] == [
        ("answers", "rows 1 to 2", "their hash")
    ]
    store.forge()
    assert "somebody's notebook recorded" in str(store.verify().differences[0])
    nobody_recorded = RecordedHead("0" * 32, "another ledger", "elsewhere")
    found = store.verify(nobody_recorded)
    assert (found.differing, found.not_verified) == (0, {OF_ANOTHER: 1}), "without a record there is nothing to tell"


@pytest.mark.parametrize("column", [column.name for column in seals.c if column.name not in ("seq", "kind")])
def test_a_changed_link_of_the_chain_is_found(store: Store, column: str):
    kind = str(seals.c[column].type)
    changed = f"{column} || 'x'" if kind == "TEXT" else f"coalesce({column}, 0) + 1"
    store.execute(f"update seals set {column} = {changed} where seq = 2")
    assert store.verify().differing


def test_links_that_are_taken_away_at_the_end_are_missed_by_the_recorded_head(store: Store):
    store.execute("delete from seals where seq = (select max(seq) from seals)")
    assert "somebody's notebook recorded" in str(store.verify().differences[0])


def test_what_budgets_count_as_spent_is_what_the_attempts_add_up_to(store: Store):
    assert not store.verify().differing
    store.execute("delete from spending where rowid = (select max(rowid) from spending)")
    assert "the attempts add up to" in str(store.verify().differences[0])


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_a_change_of_any_field_of_a_table_is_found_and_its_row_named(store: Store, table: str):
    path = store.artefact / f"{table}.parquet"
    written = path.read_bytes()
    content = pq.read_table(path)
    for at, field in enumerate(content.schema):
        values = content[field.name].to_pylist()
        values[1] = VALUES[field.type]
        pq.write_table(content.set_column(at, field, pa.array(values, field.type)), path)
        found = store.verify()
        assert [(each.table, each.row_id) for each in found.differences] == [
            (f"assets/everything/{store.artefact.name}/{table}.parquet", "row 1")
        ], field.name
    path.write_bytes(written)
    assert not store.verify().differing


@given(st.data())
@settings(max_examples=example_count(25))
def test_a_flipped_bit_anywhere_in_an_artefact_is_found(untouched: Store, data: st.DataObject):
    files = sorted(path for path in untouched.artefact.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    before = path.read_bytes()
    at, bit = data.draw(st.integers(0, len(before) - 1)), data.draw(st.integers(0, 7))
    try:
        path.write_bytes(before[:at] + bytes([before[at] ^ 1 << bit]) + before[at + 1 :])
        assert untouched.verify().differing
    finally:
        path.write_bytes(before)


def test_a_manifest_that_was_changed_with_the_file_is_not_what_was_sealed(store: Store):
    (store.artefact / "notes.txt").write_text("as they are")
    manifest = json.loads((store.artefact / "manifest.json").read_text())
    manifest["files"]["notes.txt"] = "0" * 64
    (store.artefact / "manifest.json").write_text(json.dumps(manifest))
    store.refresh()
    assert [found.column for found in store.verify().differences] == ["manifest.json"]


def test_what_is_gone_and_what_is_not_sealed_yet_is_counted_and_never_passed(store: Store):
    shutil.copytree(store.artefact, store.artefact.with_name("another"))
    assert store.verify().not_verified == {NOT_SEALED: 1}
    shutil.rmtree(store.artefact)
    assert store.verify().not_verified == {GONE: 1, NOT_SEALED: 1}
    assert not store.verify().differing


def test_a_ledger_that_is_gone_is_told_where_nothing_was_sealed_and_none_is_made(store: Store) -> None:
    for name in (".store-id", ".chain-head"):
        (store.folder / "assets" / name).unlink(missing_ok=True)
    (store.folder / "ledger.sqlite").unlink()
    with pytest.raises(LedgerLost, match="is gone or empty"):
        store.verify()
    assert not (store.folder / "ledger.sqlite").exists()
