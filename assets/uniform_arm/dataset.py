"""The dataset of the uniform arm: nothing of it is in `instruction_dataset`, and nothing of that in it."""

import dagster as dg

from assets.arms import materialize_dataset
from assets.columns import UNIFORM_DATASET, dataset_columns
from assets.materialize import OWNERS, AssetConfig
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from teams_dagster.dataset.arms import UNIFORM_ARM
from teams_dagster.store.artefact_store import ArtefactStore


@dg.asset(
    group_name="uniform_arm",
    deps=[dg.AssetDep("uniform_responses", partition_mapping=dg.LastPartitionMapping())],
    kinds={"huggingface", "parquet"},
    owners=OWNERS,
    metadata=dataset_columns(UNIFORM_DATASET),
    code_version="4",
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
    return materialize_dataset(context, config, store, models, ledger, UNIFORM_ARM)
