"""The artefact store: each asset's output in a folder of its own, written once, never overwritten.

    $TEAMS_DATA_DIR/assets/<asset key>[/<partition>]/<fingerprint>/manifest.json, *.parquet, ...
    $TEAMS_DATA_DIR/assets/<asset key>[/<partition>]/current        the name of the folder that downstream reads

With `shared_url` several machines share them: `shared.py` says how.

A fingerprint is the hash of what an output is a function of: the asset's inputs, its configuration and its code
version. A folder with a manifest is complete; one without was interrupted and is written again.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from teams_dagster.core.files import folder_sha256s, locked, write_atomically
from teams_dagster.core.hashing import content_hash
from teams_dagster.store.artefacts import CLEANED, CURRENT, read_manifest, stored_artefacts
from teams_dagster.store.damage import mending, require_whole
from teams_dagster.store.facts.base import Facts, read_facts
from teams_dagster.store.lost_outputs import sealed_folders
from teams_dagster.store.shared import SharedArtefacts
from teams_dagster.store.tables import MANIFEST

_PLAIN = re.compile(r"\w[\w.-]*")

F = TypeVar("F", bound=Facts)


class ArtefactMissing(Exception):
    """An upstream artefact that does not exist yet."""


@dataclass(frozen=True)
class Artefact:
    """A complete output of an asset."""

    folder: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What was written down when the artefact was made."""
        return read_manifest(self.folder)

    @property
    def data_version(self) -> str:
        """Hash of the content: equal content is the same version, whenever and by whichever run it was made."""
        return self.manifest["data_version"]

    @property
    def facts(self) -> dict[str, Any]:
        """Plain figures that the asset recorded about its output, as the manifest has them."""
        return self.manifest["facts"]

    def read_facts(self, kind: type[F]) -> F:
        """The figures that the asset recorded. Raises ManifestDamaged where they are of another kind."""
        return read_facts(self.folder, self.facts, kind)

    def path(self, name: str) -> Path:
        """A file or folder of the artefact.

        Raises ArtefactMissing if somebody removed it, and ArtefactDamaged for Parquet without its end.
        """
        found = self.folder / name
        if not found.exists():
            raise ArtefactMissing(f"{found} is gone: {mending(self.folder)}")
        if found.suffix == ".parquet":
            require_whole(found, self.folder)
        return found

    def changed_files(self) -> list[str]:
        """Files that are not what the manifest says: edited, cut or removed."""
        found = folder_sha256s(self.folder)
        return [name for name, digest in self.manifest["files"].items() if found.get(name) != digest]


@dataclass
class Draft:
    """An output that is being written: a folder, and what its manifest will say."""

    folder: Path
    data_version: str | None = None
    facts: dict[str, Any] | None = None

    def finish(self, data_version: str, facts: Facts | Mapping[str, Any]) -> None:
        """State the content's hash and the figures worth keeping; the artefact is complete when the block ends."""
        self.data_version = data_version
        self.facts = facts.model_dump(mode="json") if isinstance(facts, Facts) else dict(facts)


@dataclass(frozen=True)
class ArtefactStore:
    """Finds and writes artefacts below `data_dir`."""

    data_dir: str
    shared_url: str | None = None
    """Where several machines share them, of which what is below `data_dir` is a copy."""
    ledger_url: str | None = field(default=None, repr=False)
    """The ledger whose chain seals them: what is made again after its folder was lost gets a name of its own."""

    @property
    def shared(self) -> SharedArtefacts | None:
        """The artefacts that several machines share; None where there is one machine."""
        return SharedArtefacts(self.shared_url, self.root) if self.shared_url else None

    def synchronise(self) -> None:
        """Fetch what other machines made, where artefacts are shared. Raises SharedArtefactsFailed."""
        if self.shared is not None:
            self.shared.synchronise()

    @property
    def root(self) -> Path:
        """The folder that holds everything the project makes."""
        return Path(self.data_dir)

    def place(self, asset_key: str, partition_key: str | None = None) -> Path:
        """The folder that holds an asset's artefacts. Raises ValueError for a key that is no plain name."""
        folder = self.root / "assets" / _plain(asset_key)
        return folder / _plain(partition_key) if partition_key is not None else folder

    def find(self, asset_key: str, fingerprint: str, partition_key: str | None = None) -> Artefact | None:
        """The complete artefact with this fingerprint, the latest when it was made more than once.

        One that `teams clean` removed files of is none: it is made again.
        """
        place = self.place(asset_key, partition_key)
        found = [folder for folder in place.glob(f"{fingerprint}*") if _is_whole(folder)]
        return Artefact(max(found, key=lambda folder: _attempt(folder.name))) if found else None

    def unfinished(self, asset_key: str, fingerprint: str, partition_key: str | None = None) -> Path:
        """The folder that an interrupted run would have left this output in."""
        return self.place(asset_key, partition_key) / f".{fingerprint}"

    def current(self, asset_key: str, partition_key: str | None = None) -> Artefact:
        """The artefact that downstream reads. Raises ArtefactMissing naming the asset to materialise."""
        place = self.place(asset_key, partition_key)
        try:
            name = (place / CURRENT).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            where = f" for partition {partition_key}" if partition_key else ""
            raise ArtefactMissing(f"{asset_key} has no output{where} in {self.root}: materialise it first") from None
        if not _PLAIN.fullmatch(name):
            raise ArtefactMissing(f'{place / CURRENT} names "{name}", which is no output of it: materialise it again')
        folder = place / name
        if not (folder / MANIFEST).is_file():
            raise ArtefactMissing(f"{asset_key} points at {folder}, which is gone: materialise it again")
        return Artefact(folder)

    def exists(self, asset_key: str, partition_key: str | None = None) -> bool:
        """Whether downstream has something to read."""
        return (self.place(asset_key, partition_key) / CURRENT).is_file()

    def all_of(self, asset_key: str, partition_key: str | None = None) -> list[Artefact]:
        """Every complete artefact of an asset (and partition), the oldest first."""
        place = self.place(asset_key, partition_key)
        found = [Artefact(path.parent) for path in place.glob(f"[!.]*/{MANIFEST}")]
        return sorted(found, key=lambda artefact: (artefact.manifest["made_at"], artefact.folder.name))

    def of_version(self, asset_key: str, data_version: str, partition_key: str | None = None) -> Artefact:
        """The artefact with this content. Raises ArtefactMissing when it is gone."""
        for artefact in reversed(self.all_of(asset_key, partition_key)):
            if artefact.data_version == data_version:
                return artefact
        raise ArtefactMissing(
            f"{asset_key} {data_version} is not in {self.place(asset_key, partition_key)} any more: `teams restore"
            f" BACKUP` puts it back; without a backup, materialise {asset_key} again"
        )

    def partitions(self, asset_key: str) -> list[str]:
        """The partitions that have an output, in order."""
        place = self.place(asset_key)
        return sorted(folder.name for folder in place.glob("*") if (folder / CURRENT).is_file())

    def everything(self) -> Iterator[tuple[Artefact, bool]]:
        """Every complete artefact, the oldest first, with whether it is its asset's current one."""
        for files in stored_artefacts(self.root):
            yield Artefact(files.folder), files.current

    def select(self, artefact: Artefact) -> Artefact:
        """Make `artefact` the one that downstream reads."""
        place, name = artefact.folder.parent, artefact.folder.name
        if self.shared is not None:
            self.shared.select(place, name)
        write_atomically(place / CURRENT, name + "\n")
        return artefact

    @contextmanager
    def turn(
        self, asset_key: str, partition_key: str | None = None, *, waiting: Callable[[str], None] = lambda _: None
    ) -> Generator[None]:
        """Wait until no other process writes this asset's artefacts, and hold the place for the block.

        The kernel gives it back when the process dies, however it dies. `waiting` hears of it when there is a wait.
        """
        place = self.place(asset_key, partition_key) / ".lock"
        with locked(place, waiting=lambda: waiting(f"another process is making {asset_key}: waiting for it")):
            self.synchronise()
            yield

    @contextmanager
    def writing(
        self,
        asset_key: str,
        fingerprint: str,
        partition_key: str | None = None,
        *,
        about: Mapping[str, Any],
        resume: bool = False,
        select: bool = True,
    ) -> Generator[Draft]:
        """Write a new artefact: the block fills the folder and calls `finish`; leaving it publishes the whole.

        Whatever fails inside leaves no artefact. With `resume` the folder keeps what an interrupted run left in it,
        so long work continues; without, it starts empty. `about` goes into the manifest (inputs, config, run, code
        version). With `select` it becomes the one that downstream reads. Hold the asset's `turn` meanwhile.
        """
        place = self.place(asset_key, partition_key)
        # Before hours of work: a ledger that cannot be reached should cost none of them
        sealed = sealed_folders(self.ledger_url, self.root, place) if self.ledger_url else set[str]()
        draft = Draft(self.unfinished(asset_key, fingerprint, partition_key))
        if not resume:
            shutil.rmtree(draft.folder, ignore_errors=True)
        draft.folder.mkdir(parents=True, exist_ok=True)
        yield draft
        if draft.data_version is None:
            raise RuntimeError(f"{asset_key} wrote {draft.folder} and never said what it holds")
        manifest = {
            "asset_key": asset_key,
            "partition_key": partition_key,
            "fingerprint": fingerprint,
            "data_version": draft.data_version,
            "facts": draft.facts,
            **about,
            "files": folder_sha256s(draft.folder),
        }
        write_atomically(draft.folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False))
        made = Artefact(_publish(draft.folder, place, fingerprint, sealed, self.shared))
        if select:
            self.select(made)


@dataclass(frozen=True)
class Output:
    """An output of an asset by what it is a function of, whether it was made yet or not."""

    asset_key: str
    partition_key: str | None
    code_version: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]

    @property
    def name(self) -> str:
        """The fingerprint."""
        return fingerprint(self.asset_key, self.code_version, self.settings, self.inputs)

    def earlier(self, store: ArtefactStore) -> Artefact | None:
        """The same output, where it was made before."""
        return store.find(self.asset_key, self.name, self.partition_key)

    def unfinished(self, store: ArtefactStore) -> Path:
        """What an interrupted run left of it."""
        return store.unfinished(self.asset_key, self.name, self.partition_key)


def fingerprint(asset_key: str, code_version: str, config: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """The name of what an asset's output is a function of."""
    return content_hash("artefact", asset_key, code_version, dict(config), dict(inputs))[:16]


def hash_of_folder(folder: Path) -> str:
    """One hash for all files below `folder`."""
    return content_hash("folder", folder_sha256s(folder))


def _plain(name: str) -> str:
    """`name`, which is the name of one folder and leads nowhere else. Raises ValueError."""
    if not _PLAIN.fullmatch(name):
        raise ValueError(f"{name!r} names no folder of the store: letters, digits, '_', '-' and '.' do")
    return name


def _publish(
    draft: Path, place: Path, fingerprint: str, sealed: Collection[str], shared: SharedArtefacts | None
) -> Path:
    """Give the finished draft its name; one that is taken (a forced run), or is `sealed`, gets the next number."""
    names = (name for name in _names(fingerprint) if name not in sealed and not (place / name).exists())
    if shared is not None:
        return draft.rename(place / shared.publish(draft, place, names))
    while True:
        target = place / next(names)
        try:
            return draft.rename(target)
        except OSError:
            if not target.exists():
                raise


def _names(fingerprint: str) -> Iterator[str]:
    yield fingerprint
    yield from (f"{fingerprint}.{attempt}" for attempt in count(2))


def _is_whole(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() and not (folder / CLEANED).exists()


def _attempt(folder_name: str) -> int:
    _, _, number = folder_name.partition(".")
    return int(number or 1)
