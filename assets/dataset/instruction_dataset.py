"""The instruction dataset: every generation's samples, curated and split."""

import dagster as dg

from assets.arms import materialize_dataset
from assets.columns import dataset_columns
from assets.dataset.config import DatasetConfig
from assets.freshness import freshness
from assets.materialize import DATASET_FIRST, OWNERS
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.store.artefact_store import ArtefactStore


@dg.asset(
    group_name="dataset",
    deps=[
        dg.AssetDep("expert_responses", partition_mapping=dg.LastPartitionMapping()),
        dg.AssetDep("pair_scores", partition_mapping=dg.LastPartitionMapping()),
    ],
    kinds={"huggingface", "parquet"},
    owners=OWNERS,
    op_tags=DATASET_FIRST,
    metadata=dataset_columns(),
    freshness_policy=freshness(),
    code_version="5",
    description="The samples of all generations, curated, de-duplicated, decontaminated and split by seed; exported as"
    " Alpaca and ShareGPT JSON, chat JSONL and Parquet, with each row's lineage, a data card and Croissant metadata.",
)
def instruction_dataset(
    context: dg.AssetExecutionContext,
    config: DatasetConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
    ledger: LedgerConnection,
) -> dg.MaterializeResult:
    """Read every generation that has answers, whatever the partition of the run."""
    return materialize_dataset(context, config, store, models, ledger, TRAINED_ARM, config.threshold(store))
