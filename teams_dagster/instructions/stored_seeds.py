"""The seeds as an artefact holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from teams_dagster.core.files import file_sha256
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.metadata import Details, Table
from teams_dagster.core.words import segmentation_version
from teams_dagster.instructions.file_rows import SeedFileError
from teams_dagster.instructions.seed_files import texts_in
from teams_dagster.instructions.seed_splits import seed_clusters
from teams_dagster.instructions.seeds import Seed, SeedLibrary, load_seeds, scripts, shipped_seeds_path
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.dataset import SeedFacts
from teams_dagster.store.parquet import read_rows, read_table
from teams_dagster.store.tables import write_table

SHOWN = 20
"""Refused rows that are shown."""


def seed_sources(seeds: Path | None, evaluation_sets: Sequence[Path]) -> tuple[Path, list[str]]:
    """The seed file (by default the shipped one), and the texts of `evaluation_sets`, none of which it may hold.

    Raises SeedFileError, which begins with the setting's name, for an evaluation set that cannot be read.
    """
    return seeds or shipped_seeds_path(), evaluation_texts_of(evaluation_sets)


def evaluation_texts_of(evaluation_sets: Sequence[Path]) -> list[str]:
    """The texts of the project's evaluation sets.

    Raises SeedFileError, which begins with the setting's name, for a set that cannot be read.
    """
    try:
        return [text for file in evaluation_sets for text in texts_in(file)]
    except SeedFileError as error:
        raise SeedFileError(f"TEAMS_EVALUATION_SETS: {error}") from error


def project_seeds(path: Path, evaluation_texts: list[str]) -> SeedLibrary:
    """The project's seeds in `path`, as `load_seeds` reads them.

    Raises SeedFileError, which begins with the setting's name, for a file that cannot be read or has no usable row.
    """
    try:
        return load_seeds(path, evaluation_texts=evaluation_texts)
    except SeedFileError as error:
        raise SeedFileError(f"TEAMS_SEEDS: {error}") from error


def seed_inputs(path: Path, evaluation_texts: list[str]) -> dict[str, str]:
    """What the seeds are made from."""
    return {
        "file": file_sha256(path) if path.is_file() else "missing",
        "evaluation_sets": content_hash(evaluation_texts),
    }


def write_seeds(folder: Path, library: SeedLibrary, run_id: str) -> tuple[str, SeedFacts]:
    """Write the tables `seeds` and `refused_seeds` into `folder`; returns the hash of the seeds and their facts."""
    clusters = seed_clusters(library.seeds)
    write_table(folder, "seeds", (_row(seed, clusters[seed.seed_id], library.sha256, run_id) for seed in library.seeds))
    write_table(folder, "refused_seeds", (asdict(row) | {"run_id": run_id} for row in library.refused))
    facts = SeedFacts(
        source=library.source,
        sha256=library.sha256,
        seeds=len(library.seeds),
        refused=len(library.refused),
        clusters=len(set(clusters.values())),
        with_input=sum(bool(seed.instruction.input) for seed in library.seeds),
        scripts=scripts(library.seeds),
    )
    return _version(library.seeds, clusters), facts


def _version(seeds: Sequence[Seed], clusters: Mapping[str, str]) -> str:
    """Of seeds whose words are read otherwise it is another one, so that a policy whose features these are is too."""
    texts = (text for seed in seeds for text in (seed.instruction.text, seed.instruction.input))
    rows = [(seed.seed_id, seed.response, clusters[seed.seed_id]) for seed in seeds]
    return content_hash("seeds", *segmentation_version(texts), rows)


def seeds_preview(artefact: Artefact) -> Details:
    """The first refused rows of a `seed_instructions` artefact, with their reasons."""
    refused = read_rows(artefact.path("refused_seeds.parquet"))
    rows = [(row["row"], row["reason"], row["detail"]) for row in refused[:SHOWN]]
    return {"refused_rows": Table(("row", "reason", "detail"), rows)} if rows else {}


def read_seeds(artefact: Artefact) -> list[Seed]:
    """The seeds of a `seed_instructions` artefact, in the order of their file."""
    rows = read_rows(artefact.path("seeds.parquet"))
    return [
        Seed(row["seed_id"], Instruction(row["text"], row["input"]), row["response"], row["source"], row["row"])
        for row in rows
    ]


def read_clusters(artefact: Artefact) -> dict[str, str]:
    """Seed id to the cluster of near duplicates that it is in, as found when the seeds were read."""
    rows = read_table(artefact.path("seeds.parquet"), ["seed_id", "cluster_id"])
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
