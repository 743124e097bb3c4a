"""Replays that need not be repeated: of the same outputs, against the same rows of the ledger, by the same code.

Each output of `sample_lineage` holds what was replayed for it, and when. Such a record is read only where Dagster's
event log names the manifest that vouches for it, and a replay in it stands only while the chain still holds the head
that sealed all that it read. Who can rewrite one of them has everything replayed again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import teams_dagster
from teams_dagster.core.files import file_sha256, write_atomically
from teams_dagster.core.hashing import content_hash
from teams_dagster.lineage.replay import LASTING
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.artefacts import sealed_name, store_id
from teams_dagster.store.hash_chain import ARTEFACT, Link
from teams_dagster.store.tables import MANIFEST

REPLAYS = "replays.json"
"""The file that holds them."""


@dataclass(frozen=True)
class KeptReplay:
    """A replay that found no difference."""

    outputs: Mapping[str, str]
    """What it read of the store: the SHA-256 of each manifest, by the name under which the chain seals it."""
    code: str
    """The `replaying_code` of then."""
    head: str
    """The chain's head before it began: whatever it read is sealed by a link up to this one, or it does not stand."""
    replayed_at: str
    """ISO 8601, UTC."""
    verified: int
    """Rows that came out as they were stored."""
    not_verified: Mapping[str, int]
    """By reason, the rows that could not be replayed."""


class Seals:
    """The chain, as far as replays rest on it."""

    def __init__(self, chain: Iterable[tuple[Link, str]]) -> None:
        """`chain` as `read_links` gives it, once it was verified and every row compared with it."""
        self._heads: dict[str, int] = {}
        self._artefacts: dict[str, tuple[str, int]] = {}
        for number, (link, head) in enumerate(chain):
            self._heads[head] = number
            if link.kind == ARTEFACT:
                self._artefacts[link.name] = (link.content, number)

    def hold(self, kept: KeptReplay, outputs: Mapping[str, str], code: str) -> bool:
        """Whether a replay of `outputs` by `code` would read what `kept` did, and say the same."""
        last = self._heads.get(kept.head)
        if last is None or kept.outputs != outputs or kept.code != code or not LASTING.issuperset(kept.not_verified):
            return False
        sealed = (self._artefacts.get(name, ("", last)) for name in outputs)
        return all(
            content == manifest and number <= last
            for (content, number), manifest in zip(sealed, outputs.values(), strict=True)
        )


@cache
def replaying_code() -> str:
    """The hash of this package's source and data files: the rules that replays apply, and what they are applied by."""
    package = Path(teams_dagster.__file__).parent
    files = (path for path in sorted(package.rglob("*")) if path.is_file() and path.suffix != ".pyc")
    return content_hash("code", [[path.relative_to(package).as_posix(), file_sha256(path)] for path in files])


def manifest_sha256(output: Artefact) -> str:
    """The SHA-256 of an output's manifest, which vouches for its files."""
    return file_sha256(output.folder / MANIFEST)


def sealed_manifests(store: ArtefactStore, outputs: Iterable[Artefact]) -> dict[str, str]:
    """The SHA-256 of the manifest of each of `outputs`, by the name under which the chain seals it."""
    own = store_id(store.root)
    return {sealed_name(own, store.root, output.folder): manifest_sha256(output) for output in outputs}


def recorded_replays(store: ArtefactStore, named: Collection[str]) -> dict[str, KeptReplay]:
    """The replays by this code of the latest output that vouches for some, by their names: no other would stand.

    `named` are the manifests that the event log names, by SHA-256.
    """
    for output in reversed(store.all_of("sample_lineage")):
        record = output.folder / REPLAYS
        if not record.is_file() or manifest_sha256(output) not in named:
            continue
        if output.manifest["files"].get(REPLAYS) == file_sha256(record):
            rows: dict[str, dict[str, Any]] = json.loads(record.read_text(encoding="utf-8"))
            return {name: KeptReplay(**kept) for name, kept in rows.items() if kept["code"] == replaying_code()}
    return {}


def write_replays(folder: Path, replays: Mapping[str, KeptReplay]) -> None:
    """Write replays, by their names, into the folder of an output."""
    rows = {name: asdict(kept) for name, kept in replays.items()}
    write_atomically(folder / REPLAYS, json.dumps(rows, indent=1, sort_keys=True))
