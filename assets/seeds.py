"""Seeds: where every lineage ends."""

from dataclasses import asdict
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq

from assets.columns import table_columns
from assets.making import make_or_reuse
from assets.materialize import DATASET_FIRST, OWNERS, AssetConfig
from resources.language_models.roles import LanguageModels
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.markdown import markdown_table
from teams_dagster.instructions.seed_files import texts_in
from teams_dagster.instructions.seed_splits import seed_clusters
from teams_dagster.instructions.seeds import load_seeds, scripts, shipped_seeds_path
from teams_dagster.instructions.stored_seeds import _row, seed_inputs
from teams_dagster.settings import Settings
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft
from teams_dagster.store.tables import write_table

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
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
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
