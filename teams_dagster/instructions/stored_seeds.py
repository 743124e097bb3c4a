"""The seeds as an artefact holds them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from teams_dagster.core.files import file_sha256
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.seeds import Seed
from teams_dagster.store.artefact_store import Artefact


def seed_inputs(path: Path, evaluation_texts: list[str]) -> dict[str, str]:
    """What the seeds are made from."""
    return {
        "file": file_sha256(path) if path.is_file() else "missing",
        "evaluation_sets": content_hash(evaluation_texts),
    }


def read_seeds(artefact: Artefact) -> list[Seed]:
    """The seeds of a `seed_instructions` artefact, in the order of their file."""
    rows = pq.read_table(artefact.path("seeds.parquet")).to_pylist()
    return [
        Seed(row["seed_id"], Instruction(row["text"], row["input"]), row["response"], row["source"], row["row"])
        for row in rows
    ]


def read_clusters(artefact: Artefact) -> dict[str, str]:
    """Seed id to the cluster of near duplicates that it is in, as found when the seeds were read."""
    rows = pq.read_table(artefact.path("seeds.parquet"), columns=["seed_id", "cluster_id"])
    return dict(zip(rows["seed_id"].to_pylist(), rows["cluster_id"].to_pylist(), strict=True))


def _row(seed: Seed, cluster_id: str, sha256: str, run_id: str) -> dict[str, object]:
    return {
        "seed_id": seed.seed_id,
        "instruction_id": seed.instruction.instruction_id,
        "text": seed.instruction.text,
        "input": seed.instruction.input,
        "response": seed.response,
        "source": seed.source,
        "source_sha256": sha256,
        "row": seed.row,
        "cluster_id": cluster_id,
        "run_id": run_id,
    }
