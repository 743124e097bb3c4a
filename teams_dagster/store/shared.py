"""Artefacts in object storage, which several machines write and of which each data folder is a copy.

    <TEAMS_ARTEFACTS_URL>/assets/<asset key>[/<partition>]/<fingerprint>/manifest.json, *.parquet, ...
    <TEAMS_ARTEFACTS_URL>/assets/<asset key>[/<partition>]/current

It is laid out as a data folder is. Object storage renames nothing, so an artefact is complete there once it has its
manifest, which is written last; a name is taken by creating a `.claim` in it, which one machine alone can. What
is under way stays on the machine that makes it.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from teams_dagster.core.files import folder_sha256s, locked, write_atomically
from teams_dagster.store.artefacts import AGREED_ID, CURRENT, STORE_ID, cleaned_files, read_manifest, store_id
from teams_dagster.store.tables import MANIFEST

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

CLAIM = ".claim"
"""The object that takes an artefact's name for the machine that is going to upload it."""

_KNOWN, _LOCK = ".shared", ".shared.lock"
"""In the data folder's `assets`: which artefacts are known to be the same there, and who brings both together."""


class SharedArtefactsFailed(Exception):
    """Shared artefacts that cannot be reached, or are not this project's; the message says what to do."""


@dataclass(frozen=True)
class Synchronised:
    """What was brought together."""

    pushed: tuple[str, ...]
    pulled: tuple[str, ...]


@dataclass(frozen=True)
class SharedArtefacts:
    """The artefacts at `url`, and their copy below the data folder `root`."""

    url: str
    root: Path

    def synchronise(self) -> Synchronised:
        """Fetch what is new there, and bring there what only this data folder has.

        Raises SharedArtefactsFailed: it cannot be reached, it is another project's, two machines have different
        artefacts of one name, or a file that was fetched is not what its manifest says.
        """
        self._assets.mkdir(parents=True, exist_ok=True)
        with locked(self._assets / _LOCK), self._failing():
            self._agree_on_store()
            listed = self._listed()
            there, here = _complete(listed), self._complete_here()
            self._compare(there & here)
            pulled, pushed = sorted(there - here), sorted(here - there)
            for name in pulled:
                self._pull(name)
            for name in pushed:
                self._push(self._assets / name, name)
            self._know({*pulled, *pushed})
            self._agree_on_current({name for name in listed if name.endswith(f"/{CURRENT}")})
        return Synchronised(tuple(pushed), tuple(pulled))

    def publish(self, draft: Path, place: Path, names: Iterator[str]) -> str:
        """Upload the finished `draft` under the first of `names` in `place` that nobody has taken; that name.

        Raises SharedArtefactsFailed.
        """
        with self._failing():
            for name in names:
                relative = (place / name).relative_to(self._assets).as_posix()
                if self._claim(relative):
                    self._upload(draft, relative)
                    with locked(self._assets / _LOCK):
                        self._know({relative})
                    return name
        raise AssertionError("names do not end")

    def select(self, place: Path, name: str) -> None:
        """Make the artefact `name` of `place` the one that every machine's downstream reads."""
        with self._failing():
            pointer = (place / CURRENT).relative_to(self._assets).as_posix()
            self._fs.pipe_file(self._there(pointer), f"{name}\n".encode())

    @property
    def _assets(self) -> Path:
        return self.root / "assets"

    @cached_property
    def _place(self) -> tuple[AbstractFileSystem, str]:
        import fsspec

        with self._failing():
            system, base = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        return system, base.rstrip("/")

    @property
    def _fs(self) -> AbstractFileSystem:
        return self._place[0]

    def _there(self, name: str) -> str:
        return f"{self._place[1]}/assets/{name}"

    @contextmanager
    def _failing(self) -> Generator[None]:
        """What goes wrong on the way, in one sentence."""
        try:
            yield
        except SharedArtefactsFailed:
            raise
        except ImportError as error:
            raise SharedArtefactsFailed(
                f"TEAMS_ARTEFACTS_URL {self.url} needs a package that is not installed ({error}): install"
                " teams-dagster[s3] for s3://, gcsfs for gs://, adlfs for abfs://"
            ) from error
        except Exception as error:  # every file system has errors of its own
            raise SharedArtefactsFailed(
                f"TEAMS_ARTEFACTS_URL {self.url} cannot be read or written: {type(error).__name__}: {error}. Check the"
                " address, the credentials that its library reads (for s3:// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,"
                " AWS_ENDPOINT_URL) and the network; the same run goes on from what is there"
            ) from error

    def _agree_on_store(self) -> None:
        """One project has one id for its artefacts, by which the chain knows them: all seals have it."""
        there, here = self._there(STORE_ID), self._assets / STORE_ID
        if not self._fs.exists(there):
            self._create(there, here.read_bytes() if here.exists() else f"{uuid.uuid4().hex}\n".encode())
        agreed = self._fs.cat_file(there).decode()
        if here.exists() and here.read_text(encoding="utf-8") != agreed:
            raise SharedArtefactsFailed(
                f"TEAMS_ARTEFACTS_URL {self.url} holds the artefacts of another project ({agreed[:8]}, the data folder"
                f" {self.root} is of {store_id(self.root)[:8]}): give another address, or a data folder that is empty"
            )
        write_atomically(self._assets / AGREED_ID, agreed)

    def _listed(self) -> list[str]:
        """Every object there, by its path below `assets`."""
        base = self._there("")
        return [path.removeprefix(base) for path in self._fs.find(base)]

    def _complete_here(self) -> set[str]:
        found = {path.parent.relative_to(self._assets).as_posix() for path in self._assets.glob(f"**/{MANIFEST}")}
        return {name for name in found if not _under_way(name)}

    def _compare(self, names: Collection[str]) -> None:
        """Refuse two artefacts of one name; those that were compared, fetched or brought there are known."""
        known = self._known()
        for name in sorted(set(names) - known):
            if self._fs.cat_file(self._there(f"{name}/{MANIFEST}")) != (self._assets / name / MANIFEST).read_bytes():
                raise SharedArtefactsFailed(
                    f"{name} is one output in {self._assets} and another at TEAMS_ARTEFACTS_URL {self.url}: two"
                    " machines made it apart. Move one of the two folders away"
                )
        self._know(names)

    def _pull(self, name: str) -> None:
        target = self._assets / name
        draft = target.with_name(f".pulled-{target.name}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        files = [path for path in self._fs.find(self._there(name)) if not path.endswith(f"/{CLAIM}")]
        local = [str(draft / path.removeprefix(f"{self._there(name)}/")) for path in files]
        for path in local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._fs.get(files, local)
        wanted: dict[str, str] = read_manifest(draft).get("files", {})
        found = cleaned_files(draft) | folder_sha256s(draft)
        if spoilt := sorted(file for file, digest in wanted.items() if found.get(file) != digest):
            raise SharedArtefactsFailed(
                f"{name}/{spoilt[0]} at TEAMS_ARTEFACTS_URL {self.url} is not what its manifest says: restore the"
                " object there, or remove the whole of its folder and materialise again"
            )
        draft.rename(target)

    def _push(self, folder: Path, name: str) -> None:
        self._claim(name)  # what a machine that died has begun of the same artefact is written over
        self._upload(folder, name)

    def _claim(self, name: str) -> bool:
        return self._create(self._there(f"{name}/{CLAIM}"), b"")

    def _create(self, path: str, content: bytes) -> bool:
        """Write an object that nobody has written; False where somebody has."""
        try:
            self._fs.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        return True

    def _upload(self, folder: Path, name: str) -> None:
        """Every file of an artefact, its manifest last."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST]
        there = [self._there(f"{name}/{path.relative_to(folder).as_posix()}") for path in files]
        if files:
            self._fs.put([str(path) for path in files], there)
        self._fs.pipe_file(self._there(f"{name}/{MANIFEST}"), (folder / MANIFEST).read_bytes())

    def _agree_on_current(self, there: Collection[str]) -> None:
        """What downstream reads is what is said there, once it was fetched; said from here where nothing is."""
        paths = {self._there(name): name for name in there}
        said = self._fs.cat(sorted(paths)) if paths else {}  # at once
        for path, content in said.items():
            own = self._assets / paths[path]
            fetched = (own.parent / content.decode().strip() / MANIFEST).is_file()
            if fetched and (not own.exists() or own.read_bytes() != content):
                write_atomically(own, content)
        here = {path.relative_to(self._assets).as_posix() for path in self._assets.glob(f"**/{CURRENT}")}
        for name in sorted(here - set(there)):
            self._create(self._there(name), (self._assets / name).read_bytes())

    def _known(self) -> set[str]:
        file = self._assets / _KNOWN
        return set(file.read_text(encoding="utf-8").splitlines()) if file.exists() else set()

    def _know(self, names: Collection[str]) -> None:
        before = self._known()
        if not set(names) <= before:
            write_atomically(self._assets / _KNOWN, "".join(f"{name}\n" for name in sorted(before | set(names))))


def _complete(listed: Collection[str]) -> set[str]:
    """The artefacts among the objects `listed`: those that have their manifest."""
    names = {name.removesuffix(f"/{MANIFEST}") for name in listed if name.endswith(f"/{MANIFEST}")}
    return {name for name in names if not _under_way(name)}


def _under_way(name: str) -> bool:
    """Whether it is a folder that somebody is filling."""
    return any(part.startswith(".") for part in name.split("/"))
