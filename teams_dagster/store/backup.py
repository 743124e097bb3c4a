"""A whole project in one folder: its ledger, its outputs and Dagster's history, copied while runs go on.

    <backup>/backup.json     what it is: when it was made, of which ledger, the head of the chain
    <backup>/ledger.sqlite   the ledger as it was at one moment, wherever it is kept
    <backup>/assets/         the outputs that were complete by then
    <backup>/dagster/        DAGSTER_HOME

Keys are not in it, nor `teams.duckdb`, which is made again. What is under way when it is made is asked or made again.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Collection, Iterable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from teams_dagster.core.files import write_atomically
from teams_dagster.ledger.copying import copy_ledger
from teams_dagster.ledger.database import (
    holds_ledger,
    ledger_id,
    naming_ledger,
    open_database,
    read_address,
    read_snapshot,
    require_ledger,
    sqlite_url,
)
from teams_dagster.store.artefacts import CURRENT, STORE_ID, complete, stored_artefacts
from teams_dagster.store.damage import damage_of, set_damaged_aside
from teams_dagster.store.hash_chain import ARTEFACT, head, read_links
from teams_dagster.store.integrity import RecordedHead, Verification, verify_storage
from teams_dagster.store.kept_ledger import forget_head, keep_head
from teams_dagster.store.tables import MANIFEST

ABOUT, LEDGER, ASSETS, DAGSTER = "backup.json", "ledger.sqlite", "assets", "dagster"

_SQLITE_SIDE_FILES = ("-wal", "-shm", "-journal")


class BackupRefused(Exception):
    """A backup that cannot be made, or not be restored; the message says why and what to do."""


@dataclass(frozen=True)
class About:
    """What a backup says of itself."""

    made_at: str
    ledger_id: str
    head: str
    """The head of the chain that seals what is in it."""
    rows: dict[str, int]
    """Rows of each table of the ledger."""
    artefacts: int


def back_up(ledger_url: str, data_dir: Path, dagster_home: Path, target: Path) -> About:
    """Copy a project into the folder `target`, which must be new or empty; it appears whole or not at all.

    Raises BackupRefused, LedgerError, OSError.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupRefused(f"{target} holds something already: name a new folder for the backup")
    draft = target.with_name(f".{target.name}-{time.time_ns()}")
    draft.mkdir(parents=True)
    try:
        about = _fill(draft, ledger_url, data_dir, dagster_home)
        if target.exists():
            target.rmdir()
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return about


def _fill(draft: Path, ledger_url: str, data_dir: Path, dagster_home: Path) -> About:
    """What an output names on the ledger was durable before it: outputs are listed first, the ledger is copied next."""
    _copy_plain_files(data_dir / ASSETS, draft / ASSETS)
    there = {artefact.folder.relative_to(data_dir.resolve()) for artefact in complete(stored_artefacts(data_dir))}
    _copy_home(dagster_home, draft / DAGSTER)
    rows = copy_ledger(ledger_url, sqlite_url(draft / LEDGER))
    identity, chain, sealed = _chain_of(draft / LEDGER)
    there |= {place for name in sealed if (data_dir / (place := Path(name.partition("/")[2])) / MANIFEST).is_file()}
    for place in sorted(there):
        shutil.copytree(data_dir / place, draft / place, dirs_exist_ok=True)
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    about = About(made_at, identity, chain, rows, len(there))
    write_atomically(draft / ABOUT, json.dumps(asdict(about), indent=1) + "\n")
    return about


def read_about(backup: Path) -> About:
    """What a backup says of itself. Raises BackupRefused for a folder that is none."""
    try:
        return About(**json.loads((backup / ABOUT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BackupRefused(f"{backup} is no backup made by `teams backup`: {error}") from None


def verify_backup(backup: Path, recorded: Iterable[RecordedHead] = ()) -> Verification:
    """Compare what a backup holds with its hashes, its chain, and the heads `recorded` elsewhere.

    Raises BackupRefused for a folder that is no backup or a database in it that is damaged, and LedgerError for a
    ledger that cannot be read as one.
    """
    about = read_about(backup)
    if not (backup / LEDGER).is_file():
        raise BackupRefused(f"the backup {backup} lacks its {LEDGER}: take another one")
    for path in (backup / LEDGER, *sorted((backup / DAGSTER).rglob("*.db"))):
        if said := damage_of(path):
            rest = "" if path.name == LEDGER else f", or move {backup / DAGSTER} away to restore the rest of this one"
            raise BackupRefused(f"in the backup, {path} is damaged ({said}): take another backup{rest}")
    own = RecordedHead(about.head, about.ledger_id, str(backup / ABOUT))
    return verify_storage(sqlite_url(backup / LEDGER), backup, [own, *recorded])


def outputs_lacking(backup: Path) -> list[str]:
    """The outputs that a backup was made with and does not hold any more, by their folders; [] where all are there."""
    held = {str(artefact.folder.relative_to(backup.resolve())) for artefact in complete(stored_artefacts(backup))}
    if len(held) >= read_about(backup).artefacts:
        return []
    _, _, sealed = _chain_of(backup / LEDGER)
    return sorted({name.partition("/")[2] for name in sealed} - held)


def heads_after(backup: Path, recorded: Iterable[RecordedHead]) -> int:
    """How many of the heads `recorded`, latest first, are of the backup's ledger and later than the backup."""
    about = read_about(backup)
    require_ledger(sqlite_url(backup / LEDGER))
    engine = open_database(sqlite_url(backup / LEDGER))
    try:
        with read_snapshot(engine) as ledger:
            known = {link.head for link, _ in read_links(ledger)}
    finally:
        engine.dispose()
    later = 0
    for each in recorded:
        if each.ledger_id == about.ledger_id:
            if each.head in known:
                break
            later += 1
    return later


def restore(backup: Path, ledger_url: str, data_dir: Path, dagster_home: Path) -> bool:
    """Put back what is missing or damaged of a project: ledger, outputs, Dagster's history. What is whole stays.

    A ledger that the backup is of, and that has gone on since, stays too: False then, True where it was put back.
    Raises BackupRefused where there is another ledger, or outputs of another project; LedgerError, OSError.
    """
    about = read_about(backup)
    there = holds_ledger(ledger_url)
    if there and not _is_later(ledger_url, about):
        raise BackupRefused(
            "there is a ledger at TEAMS_LEDGER_URL (by default ledger.sqlite in TEAMS_DATA_DIR) that does not go on"
            " from the backup, and a restore replaces none: move it away where it is damaged or has lost rows, set the"
            " variable to an empty database, or TEAMS_DATA_DIR to a new folder"
        )
    own, theirs = data_dir / ASSETS / STORE_ID, backup / ASSETS / STORE_ID
    if own.exists() and theirs.exists() and own.read_bytes() != theirs.read_bytes():
        raise BackupRefused(f"{data_dir} holds the outputs of another project: set TEAMS_DATA_DIR to a new folder")
    set_damaged_aside(backup, data_dir)
    _put_back(backup / ASSETS, data_dir / ASSETS)
    if not dagster_home.exists() or not any(dagster_home.rglob("*.db")):
        _put_back(backup / DAGSTER, dagster_home)
    if there:
        return False
    _clear_side_files(ledger_url)
    copy_ledger(sqlite_url(backup / LEDGER), ledger_url)
    forget_head(data_dir)  # it may be of after the backup
    engine = open_database(ledger_url)
    try:
        keep_head(engine, data_dir)
    finally:
        engine.dispose()
    return True


def _is_later(ledger_url: str, about: About) -> bool:
    """Whether the ledger at `ledger_url` is that of a backup, and has the end of its chain."""
    engine = open_database(ledger_url)
    try:
        with naming_ledger(ledger_url), read_snapshot(engine) as ledger:
            heads = {link.head for link, _ in read_links(ledger)}
            return ledger_id(ledger) == about.ledger_id and (not about.head or about.head in heads)
    finally:
        engine.dispose()


def _chain_of(ledger: Path) -> tuple[str, str, list[str]]:
    """A copied ledger's id, the head of its chain, and the names of the artefacts that it seals."""
    engine = open_database(sqlite_url(ledger))
    try:
        with read_snapshot(engine) as connection:
            sealed = [link.name for link, _ in read_links(connection) if link.kind == ARTEFACT]
            return ledger_id(connection), head(connection), sealed
    finally:
        engine.dispose()


def _copy_plain_files(source: Path, target: Path) -> None:
    """The files of the store that belong to no artefact: which is current, and what generations were begun with."""
    target.mkdir(parents=True)
    if not source.is_dir():
        return
    if (source / STORE_ID).exists():
        shutil.copy2(source / STORE_ID, target / STORE_ID)

    def left_out(folder: str, names: list[str]) -> Collection[str]:
        return [name for name in names if name.startswith(".") or (Path(folder) / name / MANIFEST).exists()]

    shutil.copytree(source, target, ignore=left_out, dirs_exist_ok=True)


def _copy_home(home: Path, target: Path) -> None:
    """DAGSTER_HOME; databases through SQLite, so that each is whole though it is being written."""
    target.mkdir()
    for path in sorted(home.rglob("*")):
        if not path.is_file() or path.name.endswith(_SQLITE_SIDE_FILES):
            continue
        place = target / path.relative_to(home)
        place.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # Dagster removed it meanwhile
            if path.suffix == ".db":
                with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(place)) as copy:
                    source.backup(copy)
            else:
                shutil.copy2(path, place)


def _put_back(source: Path, target: Path) -> None:
    """Copy the files that `target` lacks: manifests after what they list, and then what names the current output."""
    files = [path for path in source.rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda path: (path.name == CURRENT, path.name == MANIFEST, path)):
        place = target / path.relative_to(source)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)


def _clear_side_files(ledger_url: str) -> None:
    """Move aside what SQLite kept beside a ledger that is gone: it must not be applied to the next one."""
    address = read_address(ledger_url)
    if address.get_backend_name() != "sqlite":
        return
    for end in _SQLITE_SIDE_FILES:
        left = Path(f"{address.database}{end}")
        if left.exists():
            left.rename(left.with_name(f"{left.name}.lost-{time.time_ns()}"))
