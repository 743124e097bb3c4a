"""Signatures of a generation's samples, kept beside its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from teams_dagster.core.instruction import Instruction
from teams_dagster.environment.recording import AT_ONCE
from teams_dagster.instructions.signatures import StoredSignatures, signatures_version, store_signatures
from teams_dagster.store.artefact_store import Artefact

SIGNATURES = "signatures"


def signatures_of(answered: Sequence[Artefact], say: Callable[[str], None]) -> StoredSignatures:
    """The signatures of the kept samples of `expert_responses` artefacts; those not stored yet are computed now."""
    for responses in answered:
        path = _path(responses)
        if not path.exists():
            say(f"computing the signatures of generation {responses.manifest['partition_key']}")
            store_signatures(path, lambda responses=responses: _kept(responses))
    return StoredSignatures([_path(responses) for responses in answered])


def _path(responses: Artefact) -> Path:
    """A file of another content, or of signatures computed otherwise, has another name."""
    return responses.folder.parent / SIGNATURES / f"{responses.data_version}-{signatures_version()}.npy"


def _kept(responses: Artefact) -> Iterator[Instruction]:
    columns = ["instruction", "input", "accepted"]
    for batch in pq.ParquetFile(responses.path("samples.parquet")).iter_batches(AT_ONCE, columns=columns):
        for row in batch.to_pylist():
            if row["accepted"]:
                yield Instruction(row["instruction"], row["input"])
