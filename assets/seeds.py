"""Seeds: where every lineage ends."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq

from assets.columns import table_columns
from assets.making import DATASET_FIRST, OWNERS, AssetConfig, make_or_reuse
from resources.language_models.roles import LanguageModels
from resources.stores import Artefact, ArtefactStore, Draft
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.instructions.seed_files import texts_in
from teams_dagster.instructions.seed_splits import seed_clusters
from teams_dagster.instructions.seeds import Seed, load_seeds, scripts, shipped_seeds_path
from teams_dagster.ledger.tables import write_table
from teams_dagster.report.markdown import markdown_table
from teams_dagster.settings import Settings
from teams_dagster.streams import content_hash

SHOWN = 20


@dg.asset(
    group_name="seeds",
    kinds={"python", "parquet"},
    owners=OWNERS,
    op_tags=DATASET_FIRST,
    metadata=table_columns("seeds"),
    code_version="1",
    description="Validated, de-duplicated, decontaminated seed instructions; every refused row with its reason.",
)
def seed_instructions(
    context: dg.AssetExecutionContext, config: AssetConfig, store: ArtefactStore, models: LanguageModels
) -> dg.MaterializeResult:
    """Read the seed file that `TEAMS_SEEDS` names, or the seeds that the product ships."""
    path, evaluation_texts = seed_sources(models.settings())

    def make(draft: Draft) -> None:
        library = load_seeds(path, evaluation_texts=evaluation_texts)
        clusters = seed_clusters(library.seeds)
        write_table(
            draft.folder,
            "seeds",
            (_row(seed, clusters[seed.seed_id], library.sha256, context.run.run_id) for seed in library.seeds),
        )
        write_table(
            draft.folder, "refused_seeds", (asdict(row) | {"run_id": context.run.run_id} for row in library.refused)
        )
        draft.finish(
            content_hash("seeds", [(seed.seed_id, seed.response, clusters[seed.seed_id]) for seed in library.seeds]),
            {
                "source": library.source,
                "sha256": library.sha256,
                "seeds": len(library.seeds),
                "refused": len(library.refused),
                "clusters": len(set(clusters.values())),
                "with_input": sum(bool(seed.instruction.input) for seed in library.seeds),
                "scripts": scripts(library.seeds),
            },
        )

    inputs = seed_inputs(path, evaluation_texts)
    return make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show)


def seed_sources(settings: Settings) -> tuple[Path, list[str]]:
    """The seed file, and the texts that must not appear in it."""
    evaluation_texts = [text for file in settings.evaluation_sets for text in texts_in(file)]
    return settings.seeds or shipped_seeds_path(), evaluation_texts


def seed_inputs(path: Path, evaluation_texts: list[str]) -> dict[str, str]:
    """What the seeds are made from."""
    return {"file": _file_hash(path), "evaluation_sets": content_hash(evaluation_texts)}


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


def _show(artefact: Artefact) -> dict[str, dg.MetadataValue | int | str]:
    facts = artefact.facts
    refused = pq.read_table(artefact.path("refused_seeds.parquet")).to_pylist()
    metadata: dict[str, dg.MetadataValue | int | str] = {
        "dagster/row_count": facts["seeds"],
        "refused": facts["refused"],
        "with_input": facts["with_input"],
        "source": facts["source"],
        "scripts": dg.MetadataValue.json(facts["scripts"]),
    }
    if refused:
        rows = [(row["row"], row["reason"], row["detail"]) for row in refused[:SHOWN]]
        metadata["refused_rows"] = dg.MetadataValue.md(markdown_table(("row", "reason", "detail"), rows))
    return metadata


def _file_hash(path: Path) -> str:
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
