"""The manifests of generations, as the store holds them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from teams_dagster.core.operations import TEXT_OPERATIONS
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.arms import arm_of
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.instructions.prompts import prompt
from teams_dagster.store.artefact_store import Artefact, ArtefactStore

MANIFEST = "generation.json"


ROLES = (Role.EXPERT, Role.REVIEWER)
"""Who is asked for a generation's rewrites."""


def _path(store: ArtefactStore, partition: str) -> Path:
    return store.place("generated_instructions", partition) / MANIFEST


def _begun(store: ArtefactStore, partition: str) -> GenerationManifest | None:
    path = _path(store, partition)
    return GenerationManifest.from_json(path.read_text(encoding="utf-8")) if path.exists() else None


def read_manifest(generated: Artefact) -> GenerationManifest:
    """The manifest that an artefact of instructions was made from."""
    return GenerationManifest.from_json(generated.path(MANIFEST).read_text(encoding="utf-8"))


def generated_for(store: ArtefactStore, responses: Artefact) -> Artefact:
    """The instructions that the answers in an artefact belong to, in its own arm."""
    key, partition = arm_of(responses.manifest["asset_key"]).instructions, responses.manifest["partition_key"]
    return store.of_version(key, responses.manifest["inputs"][key], partition)


def _manifests(store: ArtefactStore) -> Iterator[GenerationManifest]:
    for path in sorted(store.place("generated_instructions").glob(f"*/{MANIFEST}")):
        yield GenerationManifest.from_json(path.read_text(encoding="utf-8"))


def prompt_versions() -> dict[str, str]:
    """The version of every prompt that a generation asks with, by its name."""
    asked = [*(operation.value for operation in TEXT_OPERATIONS), "review", "respond"]
    return {name: prompt(name).version for name in asked}
