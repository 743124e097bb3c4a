"""What is damaged of a project and its backup: pages of databases, and outputs that are not what a backup has."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from teams_dagster.core.files import file_sha256
from teams_dagster.store.artefacts import CompleteArtefact, cleaned_files, complete, read_manifest, stored_artefacts
from teams_dagster.store.tables import MANIFEST

_PARQUET_END = b"PAR1"


def damage_of(database: Path) -> str:
    """What SQLite finds wrong with the pages of a file; empty for nothing."""
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as opened:
            (found,) = opened.execute("pragma quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return "" if found == "ok" else " ".join(str(found).split())


class ArtefactDamaged(Exception):
    """A file of an output that is not what was written."""


def require_whole(parquet: Path, folder: Path) -> None:
    """Raises ArtefactDamaged where a Parquet file of the output in `folder` was cut off: a look at four bytes."""
    with parquet.open("rb") as opened:
        opened.seek(max(0, parquet.stat().st_size - len(_PARQUET_END)))
        if opened.read() != _PARQUET_END:
            raise ArtefactDamaged(f"{parquet} is damaged, it ends before it is whole: {mending(folder)}")


def mending(folder: Path) -> str:
    """What to do about a file that is gone or damaged of the output in `folder`."""
    return f"`teams restore BACKUP` puts it back; without a backup, remove {folder} and materialise again"


def set_damaged_aside(backup: Path, data_dir: Path) -> None:
    """Hide the outputs that are not what `backup` has under their names: cut off, changed, or made again since."""
    for artefact in complete(stored_artefacts(backup)):
        folder = data_dir / artefact.folder.relative_to(backup.resolve())
        if folder.is_dir() and not _is_whole(folder, artefact):
            folder.rename(folder.with_name(f".{folder.name}.replaced-{time.time_ns()}"))


def _is_whole(folder: Path, wanted: CompleteArtefact) -> bool:
    """Whether an output has the manifest of `wanted`, and the files that it names, but those removed on purpose."""
    manifest = folder / MANIFEST
    if not manifest.is_file() or file_sha256(manifest) != wanted.manifest_sha256:
        return False
    named, cleaned = read_manifest(folder)["files"], cleaned_files(folder)
    return all(
        name in cleaned or ((folder / name).is_file() and file_sha256(folder / name) == digest)
        for name, digest in named.items()
    )
