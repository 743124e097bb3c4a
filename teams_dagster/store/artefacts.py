"""The assets' outputs as the read model and the chain see them: folders with a manifest and Parquet files."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teams_dagster.core.files import file_sha256
from teams_dagster.store.tables import MANIFEST

CURRENT = "current"
"""The file beside an asset's outputs that names the one which downstream reads."""

CLEANED = "cleaned.json"
"""The file in an output that says which of its files `teams clean` removed."""

STORE_ID = ".store-id"
"""The file beside the assets that tells one data folder's artefacts from another's."""

AGREED_ID = ".store-id-agreed"
"""The id that it is going to have, where machines share their artefacts."""

_PLAIN = ("asset_key", "partition_key", "data_version", "code_version", "fingerprint", "run_id", "made_at")
_AS_JSON = ("inputs", "config")


@dataclass(frozen=True)
class ArtefactFiles:
    """An artefact's folder: a manifest, and Parquet files named after their tables."""

    folder: Path
    current: bool
    """Whether it is what its asset (or its partition) stands for now. History keeps the others' rows too."""


@dataclass(frozen=True)
class CompleteArtefact:
    """An artefact with its manifest, identified so that a changed one counts as another."""

    folder: Path
    manifest_sha256: str
    current: bool

    @property
    def identity(self) -> tuple[Path, str]:
        """What it is, whether it is current or not."""
        return self.folder, self.manifest_sha256

    def row(self, position: int) -> dict[str, Any]:
        """Its row of table `artefacts`."""
        manifest = read_manifest(self.folder)
        return {
            "position": position,
            "folder": str(self.folder),
            "manifest_sha256": self.manifest_sha256,
            "current": self.current,
            **{name: manifest.get(name) for name in _PLAIN},
            **{name: json.dumps(manifest[name], sort_keys=True) for name in _AS_JSON if name in manifest},
        }


class ManifestDamaged(ValueError):
    """A manifest that is not what this software writes."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """What was written down when the artefact in `folder` was made. Raises ManifestDamaged."""
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ManifestDamaged(
            f"{folder / MANIFEST} is damaged ({error}): restore the folder, or remove it and materialise again"
        ) from error


def cleaned_files(folder: Path) -> dict[str, str]:
    """By name, the SHA-256 of each file that was removed on purpose from the output in `folder`."""
    place = folder / CLEANED
    return json.loads(place.read_text(encoding="utf-8"))["files"] if place.is_file() else {}


def stored_artefacts(data_dir: Path) -> list[ArtefactFiles]:
    """Every complete artefact below a data folder, the oldest first. One with a damaged manifest is none."""
    found: list[tuple[str, ArtefactFiles]] = []
    for manifest in sorted((data_dir / "assets").glob(f"**/{MANIFEST}")):
        folder = manifest.parent
        pointer = folder.parent / CURRENT
        if folder.name.startswith(".") or not pointer.is_file():
            continue
        current = pointer.read_text(encoding="utf-8").strip() == folder.name
        with suppress(ManifestDamaged):
            found.append((read_manifest(folder).get("made_at", ""), ArtefactFiles(folder, current)))
    return [files for _, files in sorted(found, key=lambda made: made[0])]


def was_sealed(data_dir: Path) -> bool:
    """Whether what is stored below a data folder was ever sealed on a ledger, which there has to be then."""
    return (data_dir / "assets" / STORE_ID).exists()


def store_id(data_dir: Path) -> str:
    """The id of the artefacts below a data folder, drawn when it is first asked for: several can share a ledger."""
    place = data_dir / "assets" / STORE_ID
    place.parent.mkdir(parents=True, exist_ok=True)
    draft, agreed = place.with_name(f".store-id-{uuid.uuid4().hex}"), place.with_name(AGREED_ID)
    if not place.exists():
        drawn = agreed.read_text(encoding="utf-8") if agreed.exists() else f"{uuid.uuid4().hex}\n"
        draft.write_text(drawn, encoding="utf-8")
        with suppress(FileExistsError):
            os.link(draft, place)  # whole or not at all, and never over another's
        draft.unlink()
    return place.read_text(encoding="utf-8").strip()


def sealed_name(store: str, data_dir: Path, folder: Path) -> str:
    """Under which name the chain knows the artefact in `folder`; `store` is the `store_id` of its data folder."""
    return f"{store}/{folder.resolve().relative_to(data_dir.resolve()).as_posix()}"


def complete(artefacts: Iterable[ArtefactFiles]) -> tuple[CompleteArtefact, ...]:
    """The artefacts that have their manifest."""
    found: list[CompleteArtefact] = []
    for artefact in artefacts:
        manifest = artefact.folder / MANIFEST
        if manifest.exists():
            digest = file_sha256(manifest)
            found.append(CompleteArtefact(artefact.folder.resolve(), digest, artefact.current))
    return tuple(found)
