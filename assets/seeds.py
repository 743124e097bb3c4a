"""Seeds: where every lineage ends."""

from collections.abc import Iterator

import dagster as dg

from assets.check_results import needs_output, verdict, warning
from assets.columns import table_columns
from assets.contamination import contamination_check
from assets.materialize import DATASET_FIRST, OWNERS, AssetConfig, materialization
from resources.language_models.roles import LanguageModels
from teams_dagster.dataset.quality.duplicates import StoredText
from teams_dagster.instructions.ngrams import NGRAM_WORDS, PARAPHRASE_WORDS
from teams_dagster.instructions.seed_splits import EmptySplitError, dataset_sides
from teams_dagster.instructions.stored_seeds import (
    project_seeds,
    read_clusters,
    read_seeds,
    seed_inputs,
    seed_sources,
    seeds_preview,
    write_seeds,
)
from teams_dagster.policy.checkpoint import policy_seeds
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import SeedFacts

MOST_REFUSED = 0.5
"""Above this share of refused rows, the file is probably not what somebody meant to use."""


@dg.asset(
    group_name="seeds",
    kinds={"python", "parquet"},
    owners=OWNERS,
    op_tags=DATASET_FIRST,
    metadata=table_columns("seeds"),
    code_version="3",
    description="Validated, de-duplicated, decontaminated seed instructions; every refused row with its reason.",
)
def seed_instructions(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Read the seed file that `TEAMS_SEEDS` names, or the seeds that the product ships."""
    settings = models.settings()
    path, evaluation_texts = seed_sources(settings.seeds, settings.evaluation_sets)
    with materialization(context, store, config=config, inputs=seed_inputs(path, evaluation_texts)) as made:
        if made.draft is not None:
            library = project_seeds(path, evaluation_texts)
            made.finish(*write_seeds(made.folder, library, context.run.run_id))
    return made.result(SeedFacts, seeds_preview)


@dg.asset_check(
    asset="seed_instructions",
    blocking=True,
    op_tags=DATASET_FIRST,
    description="Every split of the seeds has seeds in it.",
    metadata={"severity": "error", "remedy": "Add seeds that differ from those there are."},
)
@needs_output
def seeds_fill_every_split(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """Too few seeds would leave the policy or the student nothing to be tested on."""
    artefact = store.current("seed_instructions")
    try:
        sides = dataset_sides(read_clusters(artefact)).values()
        train, held_out = policy_seeds(artefact)
    except EmptySplitError as error:
        return verdict(False, str(error))
    return verdict(
        True,
        f"{len(train)} seeds train the policy and {len(held_out)} compare it",
        dataset={side: list(sides).count(side) for side in ("train", "validation", "held_out")},
    )


@dg.asset_check(
    asset="seed_instructions",
    description=f"At most {MOST_REFUSED:.0%} of the rows of the seed file are refused.",
    metadata={
        "severity": "warning",
        "remedy": "Read table `refused_seeds`: wrong columns or a wrong encoding are the usual causes.",
    },
)
@needs_output
def few_rows_are_refused(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A file with the wrong columns or encoding shows itself here."""
    facts = store.current("seed_instructions").read_facts(SeedFacts)
    share = facts.refused / (facts.refused + facts.seeds)
    return warning(
        share <= MOST_REFUSED,
        f"{facts.refused} rows of {facts.source} were refused ({share:.0%}); the asset's metadata says why",
        share=share,
    )


def _texts(artefact: Artefact) -> Iterator[StoredText]:
    for seed in read_seeds(artefact):
        yield StoredText(seed.seed_id, (seed.instruction.text, seed.instruction.input, seed.response))


contamination_of_seeds = [
    contamination_check("seed_instructions", "seeds", _texts, size) for size in (NGRAM_WORDS, PARAPHRASE_WORDS)
]
