"""The instruction dataset: every generation's samples, curated and split."""

from functools import partial

import dagster as dg

from assets.columns import dataset_columns
from assets.materialize import DATASET_FIRST, OWNERS, AssetConfig, materialization
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.building import build_dataset, dataset_sources
from teams_dagster.report.preview_dataset import dataset_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import DatasetFacts


@dg.asset(
    group_name="dataset",
    deps=[dg.AssetDep("expert_responses", partition_mapping=dg.LastPartitionMapping())],
    kinds={"huggingface", "parquet"},
    owners=OWNERS,
    op_tags=DATASET_FIRST,
    metadata=dataset_columns(),
    code_version="2",
    description="The samples of all generations, curated, de-duplicated, decontaminated and split by seed; exported as"
    " Alpaca and ShareGPT JSON, chat JSONL and Parquet, with each row's lineage, a data card and Croissant metadata.",
)
def instruction_dataset(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
    ledger: LedgerConnection,
) -> dg.MaterializeResult:
    """Read every generation that has answers, whatever the partition of the run."""
    sources = dataset_sources(store, TRAINED_ARM, models.settings().evaluation_sets)
    with materialization(context, store, config=config, inputs=sources.inputs) as made:
        if made.draft is not None:
            with ledger.open() as opened:
                version, facts = build_dataset(
                    made.folder, context.run.run_id, sources, store, opened, log=context.log.info
                )
            made.finish(version, facts)
    return made.result(DatasetFacts, partial(dataset_preview, store=store, answered=sources.answered))
