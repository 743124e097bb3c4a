"""What nobody reads any more: weights of superseded models, and what interrupted runs left.

Manifests, tables, cards and reports stay, so that lineage, seals and the read model lose nothing. What is removed of a
complete output is written down in it first (`cleaned.json`): a verification then counts it as removed, not as lost, and
the output is made again, not reused, when its inputs come back.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import Timeout

from teams_dagster.core.files import locked, write_atomically
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.artefacts import CLEANED, cleaned_files
from teams_dagster.store.tables import MANIFEST

WEIGHTS = re.compile(r"model/.*\.(safetensors|bin|pt|gguf)")
"""Files of an output that hold a model's weights: most of a project's size, and made again from what stays."""


@dataclass(frozen=True)
class Removal:
    """Something to remove."""

    folder: Path
    """An output, or what an interrupted run left of one."""
    files: tuple[str, ...]
    """Files of the output, below its folder; empty where the whole folder goes."""
    size: int
    """Bytes."""
    why: str


def removals(store: ArtefactStore, before: datetime) -> list[Removal]:
    """What can go of what was made, or last written, before a moment: nothing that anything current is made from."""
    everything = list(store.everything())
    needed = _needed(everything)
    weights = [
        removal
        for artefact, current in everything
        if not current
        and artefact.data_version not in needed
        and datetime.fromisoformat(artefact.manifest["made_at"]) < before
        and (removal := _weights(artefact)) is not None
    ]
    assets = store.root / "assets"
    return [*weights, *_drafts(sorted({*assets.glob("*/.*"), *assets.glob("*/*/.*")}), before)]


def remove(
    store: ArtefactStore, found: Iterable[Removal], before: datetime, check: Callable[[], None] = lambda: None
) -> Iterator[tuple[Removal, str | None]]:
    """Remove those of `found` that still can go: each, once it was looked at, with why it was left; None where it went.

    What can go is found out anew for each asset's place, held meanwhile: what is read does not grow with what goes.

    `check` is called before anything of a place goes; what it raises ends the removing.
    """
    places: dict[Path, list[Removal]] = {}
    for removal in found:
        places.setdefault(removal.folder.parent, []).append(removal)
    for place, of_place in places.items():
        try:
            with locked(place / ".lock", timeout_s=0):
                check()
                there = _as_it_is_now(store, of_place, before)
                for removal in of_place:
                    yield removal, _removed(removal) if removal in there else "it has been used since it was listed"
        except Timeout:
            yield from ((removal, "another process is writing beside it") for removal in of_place)


def _removed(removal: Removal) -> None:
    if removal.files:
        _remove_files(removal)
    else:
        shutil.rmtree(removal.folder)


def _as_it_is_now(store: ArtefactStore, of_place: Sequence[Removal], before: datetime) -> set[Removal]:
    """What can go at a place: somebody may have selected an output, or gone on with a draft, since it was listed."""
    drafts = [removal.folder for removal in of_place if not removal.files]
    weights = removals(store, before) if len(drafts) < len(of_place) else []
    return {*weights, *_drafts(drafts, before)}


def _needed(everything: list[tuple[Artefact, bool]]) -> set[str]:
    """The versions that current outputs are made from, and those that these are made from."""
    inputs: dict[str, set[str]] = {}
    for artefact, _ in everything:
        inputs.setdefault(artefact.data_version, set()).update(_versions(artefact.manifest))
    reached: set[str] = set()
    waiting = [artefact.data_version for artefact, current in everything if current]
    while waiting:
        version = waiting.pop()
        if version not in reached:
            reached.add(version)
            waiting += inputs.get(version, set())
    return reached


def _versions(manifest: dict[str, Any]) -> Iterator[str]:
    yield from (version for version in manifest.get("inputs", {}).values() if isinstance(version, str))


def _weights(artefact: Artefact) -> Removal | None:
    files = [name for name in artefact.manifest["files"] if WEIGHTS.fullmatch(name)]
    there = tuple(name for name in files if (artefact.folder / name).is_file())
    if not there:
        return None
    size = sum((artefact.folder / name).stat().st_size for name in there)
    return Removal(artefact.folder, there, size, f"weights of {artefact.manifest['made_at'][:10]}, superseded")


def _drafts(folders: Iterable[Path], before: datetime) -> Iterator[Removal]:
    """Those that no manifest ever completed, and that nobody has written to since."""
    for folder in folders:
        if not folder.is_dir() or (folder.parent / MANIFEST).exists():
            continue
        try:
            files = [path.stat() for path in [folder, *folder.rglob("*")]]
        except FileNotFoundError:  # somebody is writing there
            continue
        written = datetime.fromtimestamp(max(found.st_mtime for found in files), UTC)
        if written < before:
            why = f"left by a run that ended on {written:%Y-%m-%d}"
            yield Removal(folder, (), sum(found.st_size for found in files), why)


def _remove_files(removal: Removal) -> None:
    """Write down what goes, with its hash, before it goes."""
    manifest = Artefact(removal.folder).manifest
    gone = cleaned_files(removal.folder) | {name: manifest["files"][name] for name in removal.files}
    record = {"cleaned_at": datetime.now(UTC).isoformat(timespec="seconds"), "files": gone}
    write_atomically(removal.folder / CLEANED, json.dumps(record, indent=1, sort_keys=True))
    for name in removal.files:
        (removal.folder / name).unlink()
