"""A project is copied whole while it is written to, and put back where its ledger is gone."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from teams_dagster.core.files import write_atomically
from teams_dagster.ledger.copying import copy_ledger
from teams_dagster.ledger.database import LedgerLost, sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.artefacts import stored_artefacts
from teams_dagster.store.backup import BackupRefused, back_up, heads_after, outputs_lacking, restore, verify_backup
from teams_dagster.store.integrity import RecordedHead, verify_storage
from teams_dagster.store.read_model import RefreshReport, refresh
from teams_dagster.store.tables import write_table
from tests.support import postgres
from tests.support.entries import ask

ABOUT = {"code_version": "1", "config": {}, "inputs": {}, "run_id": "r", "made_at": "2026-11-02T03:00:00.000000+00:00"}


class Store:
    """A data folder with a ledger of two questions and an output, sealed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "dagster"
        self.url = sqlite_url(folder / "ledger.sqlite")
        with Ledger(self.url) as ledger:
            ask(ledger, "a", "b")
        self.write("seed_instructions", "f" * 16)
        write_atomically(self.home / "dagster.yaml", "telemetry: {enabled: false}\n")
        self.report = self.refresh()

    def write(self, asset_key: str, fingerprint: str) -> None:
        with ArtefactStore(data_dir=str(self.folder)).writing(asset_key, fingerprint, about=ABOUT) as draft:
            write_table(draft.folder, "seeds", [])
            draft.finish("v1", {})

    def refresh(self) -> RefreshReport:
        return refresh(self.url, stored_artefacts(self.folder), self.folder / "teams.duckdb")

    def back_up(self, target: Path) -> Path:
        back_up(self.url, self.folder, self.home, target)
        return target


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def rows_of(url: str) -> int:
    with Ledger(url) as ledger:
        return ledger.spent().queries


@pytest.mark.parametrize("gone", ["deleted", "emptied"])
def test_no_ledger_begins_silently_where_outputs_were_made_with_one(store: Store, gone: str) -> None:
    path = store.folder / "ledger.sqlite"
    path.unlink() if gone == "deleted" else path.write_bytes(b"")
    with pytest.raises(LedgerLost, match=r"ledger.sqlite is gone or empty.*teams restore"):
        store.refresh()
    assert not path.exists() or path.stat().st_size == 0


def test_a_restored_project_goes_on_with_its_chain_its_budget_and_its_outputs(store: Store, tmp_path: Path) -> None:
    backup = store.back_up(tmp_path / "backup")
    moved = tmp_path / "elsewhere"
    restore(backup, sqlite_url(moved / "ledger.sqlite"), moved, moved / "dagster")
    assert rows_of(sqlite_url(moved / "ledger.sqlite")) == rows_of(store.url)
    with Ledger(sqlite_url(moved / "ledger.sqlite")) as ledger:
        ask(ledger, "c")
    url, report = sqlite_url(moved / "ledger.sqlite"), store.report
    refresh(url, stored_artefacts(moved), moved / "teams.duckdb")
    found = verify_storage(url, moved, [RecordedHead(report.head, report.ledger_id, "before")])
    assert (found.differing, found.not_verified) == (0, {})
    assert ArtefactStore(data_dir=str(moved)).current("seed_instructions").data_version == "v1"
    assert (moved / "dagster" / "dagster.yaml").is_file()


def test_an_instance_that_is_configured_there_keeps_its_configuration(store: Store, tmp_path: Path) -> None:
    """Where Dagster's history is in PostgreSQL, it must not be turned to a file."""
    backup, home = store.back_up(tmp_path / "backup"), tmp_path / "elsewhere" / "dagster"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text("storage: {postgres: {}}\n", encoding="utf-8")
    restore(backup, sqlite_url(home.parent / "ledger.sqlite"), home.parent, home)
    assert (home / "dagster.yaml").read_text(encoding="utf-8") == "storage: {postgres: {}}\n"


def test_a_backup_made_while_others_write_is_whole(store: Store, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            with Ledger(store.url) as ledger:
                ask(ledger, f"question {number}")
            store.write("trained_policy", f"{number:016x}")
            store.refresh()
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [verify_backup(store.back_up(tmp_path / f"backup-{number}")) for number in range(3)]
    finally:
        stop.set()
        writer.join()
    assert [(each.differing, each.not_verified.get("artefacts that were sealed and are gone")) for each in found] == [
        (0, None)
    ] * 3


def test_a_changed_backup_is_told(store: Store, tmp_path: Path) -> None:
    backup = store.back_up(tmp_path / "backup")
    (table,) = backup.rglob("seeds.parquet")
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    assert verify_backup(backup).differing == 1


def flip(path: Path) -> None:
    """Damages what a database holds, and leaves its beginning."""
    content = path.read_bytes()
    path.write_bytes(content[:8_192] + b"\xa5" * (len(content) - 8_192))


def test_a_backup_whose_ledger_has_damaged_pages_is_refused(store: Store, tmp_path: Path) -> None:
    backup = store.back_up(tmp_path / "backup")
    flip(backup / "ledger.sqlite")
    with pytest.raises(BackupRefused, match=r"in the backup, .*ledger.sqlite is damaged .*take another backup"):
        verify_backup(backup)


def test_a_backup_without_its_ledger_is_refused(store: Store, tmp_path: Path) -> None:
    backup = store.back_up(tmp_path / "backup")
    (backup / "ledger.sqlite").unlink()
    with pytest.raises(BackupRefused, match=r"the backup .* lacks its ledger.sqlite"):
        verify_backup(backup)


def test_a_damaged_history_in_a_backup_is_named_with_the_way_to_the_rest(store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(store.home / "runs.db")) as history, history:
        history.execute(
            "create table runs as with recursive n(i) as (select 1 union all select i + 1 from n limit 5000)"
            " select i from n"
        )
    backup = store.back_up(tmp_path / "backup")
    flip(backup / "dagster" / "runs.db")
    with pytest.raises(BackupRefused, match=r"runs.db is damaged .*move .*dagster away to restore the rest"):
        verify_backup(backup)


def test_outputs_that_a_backup_lost_are_named(store: Store, tmp_path: Path) -> None:
    backup = store.back_up(tmp_path / "backup")
    assert outputs_lacking(backup) == []
    shutil.rmtree(backup / "assets" / "seed_instructions" / ("f" * 16))
    assert outputs_lacking(backup) == [f"assets/seed_instructions/{'f' * 16}"]


def test_a_ledger_that_is_there_is_not_replaced(store: Store, tmp_path: Path) -> None:
    backup = store.back_up(tmp_path / "backup")
    other = sqlite_url(tmp_path / "other.sqlite")
    with Ledger(other) as ledger:
        ask(ledger, "a")
    with pytest.raises(BackupRefused, match="does not go on from the backup, and a restore replaces none"):
        restore(backup, other, store.folder, store.home)


def test_an_older_copy_of_the_ledger_is_not_taken_for_one_that_goes_on(store: Store, tmp_path: Path) -> None:
    older = sqlite_url(tmp_path / "older.sqlite")
    copy_ledger(store.url, older)
    with Ledger(store.url) as ledger:
        ask(ledger, "c")
    store.refresh()
    with pytest.raises(BackupRefused, match="does not go on from the backup"):
        restore(store.back_up(tmp_path / "backup"), older, store.folder, store.home)


def removed(folder: Path) -> None:
    shutil.rmtree(folder)


def cut_off(folder: Path) -> None:
    table = folder / "seeds.parquet"
    table.write_bytes(table.read_bytes()[:40])


def with_half_a_manifest(folder: Path) -> None:
    manifest = folder / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:40])


def no_longer_current(folder: Path) -> None:
    (folder.parent / "current").unlink()


@pytest.mark.parametrize("spoil", [removed, cut_off, with_half_a_manifest, no_longer_current])
def test_a_damaged_output_is_put_back_where_the_ledger_goes_on(
    store: Store, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    backup = store.back_up(tmp_path / "backup")
    with Ledger(store.url) as ledger:
        ask(ledger, "c")
    spoil(store.folder / "assets" / "seed_instructions" / ("f" * 16))
    assert not restore(backup, store.url, store.folder, store.home)
    found = verify_storage(store.url, store.folder, [])
    assert (found.differing, found.not_verified.get("artefacts that were sealed and are gone")) == (0, None)
    assert rows_of(store.url) == 3


def test_an_output_that_was_made_again_gives_way_to_the_one_that_was_sealed(store: Store, tmp_path: Path) -> None:
    backup = store.back_up(tmp_path / "backup")
    shutil.rmtree(store.folder / "assets" / "seed_instructions" / ("f" * 16))
    again = ABOUT | {"run_id": "another"}
    with ArtefactStore(data_dir=str(store.folder)).writing("seed_instructions", "f" * 16, about=again) as draft:
        write_table(draft.folder, "seeds", [])
        draft.finish("v1", {})
    assert verify_storage(store.url, store.folder, []).differing == 1
    restore(backup, store.url, store.folder, store.home)
    assert verify_storage(store.url, store.folder, []).differing == 0
    assert list((store.folder / "assets" / "seed_instructions").glob(".*.replaced-*"))


def test_a_folder_that_is_no_backup_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="is no backup"):
        restore(store.folder, sqlite_url(tmp_path / "l.sqlite"), tmp_path / "new", tmp_path / "home")


def test_records_of_the_chain_after_the_backup_are_counted(store: Store, tmp_path: Path) -> None:
    backup = store.back_up(tmp_path / "backup")
    with Ledger(store.url) as ledger:
        ask(ledger, "c")
    heads = [RecordedHead(report.head, report.ledger_id, "log") for report in (store.refresh(), store.report)]
    assert heads_after(backup, heads) == 1


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.skipif(postgres.programs() is None, reason="no PostgreSQL server (Debian: apt install postgresql)")
def test_a_ledger_moves_to_postgresql_and_goes_on(store: Store, tmp_path: Path) -> None:
    backup = store.back_up(tmp_path / "backup")
    (store.folder / "ledger.sqlite").unlink()
    with postgres.cluster() as url:
        restore(backup, url, store.folder, store.home)
        with Ledger(url) as ledger:
            ask(ledger, "c")
        assert rows_of(url) == 3
        refresh(url, stored_artefacts(store.folder), store.folder / "teams.duckdb")
        head = RecordedHead(store.report.head, store.report.ledger_id, "before")
        assert verify_storage(url, store.folder, [head]).differing == 0
