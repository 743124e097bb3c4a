"""The dataset of the uniform arm: nothing of it is in `instruction_dataset`, and nothing of that in it."""

from functools import partial

import dagster as dg

from assets.columns import UNIFORM_DATASET, dataset_columns
from assets.materialize import OWNERS, AssetConfig, materialization
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from teams_dagster.dataset.arms import UNIFORM_ARM
from teams_dagster.dataset.building import build_dataset, dataset_sources
from teams_dagster.report.preview_dataset import dataset_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import DatasetFacts


@dg.asset(
    group_name="uniform_arm",
    deps=[dg.AssetDep("uniform_responses", partition_mapping=dg.LastPartitionMapping())],
    kinds={"huggingface", "parquet"},
    owners=OWNERS,
    metadata=dataset_columns(UNIFORM_DATASET),
    code_version="1",
    description="The samples of the uniform arm's generations, curated and split by the same rules: a seed is on the"
    " same side as in instruction_dataset. A folder and a card of its own.",
)
def uniform_dataset(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
    ledger: LedgerConnection,
) -> dg.MaterializeResult:
    """Read every generation that the arm has."""
    sources = dataset_sources(store, UNIFORM_ARM, models.settings().evaluation_sets)
    with materialization(context, store, config=config, inputs=sources.inputs) as made:
        if made.draft is not None:
            with ledger.open() as opened:
                version, facts = build_dataset(
                    made.folder, context.run.run_id, sources, store, opened, log=context.log.info
                )
            made.finish(version, facts)
    return made.result(DatasetFacts, partial(dataset_preview, store=store, answered=sources.answered))
