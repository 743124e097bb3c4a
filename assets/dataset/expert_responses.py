"""Responses: the expert answers every accepted instruction of a generation."""

import dagster as dg

from assets.arms import materialize_responses
from assets.columns import SAMPLES, table_columns
from assets.dataset.config import AnswersConfig
from assets.materialize import DATASET_FIRST, OWNERS
from assets.partitions import GENERATIONS
from assets.pools import LANGUAGE_MODELS
from resources.language_models.roles import LanguageModels
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.store.artefact_store import ArtefactStore


@dg.asset(
    group_name="dataset",
    deps=["generated_instructions"],
    partitions_def=GENERATIONS,
    kinds={"openai", "parquet"},
    owners=OWNERS,
    op_tags=DATASET_FIRST,
    metadata=table_columns("samples", SAMPLES),
    code_version="2",
    pool=LANGUAGE_MODELS,
    description="The expert's answer to every accepted instruction; rejected answers are kept with their reason.",
)
def expert_responses(
    context: dg.AssetExecutionContext,
    config: AnswersConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Ask the expert to answer each accepted instruction of the generation."""
    return materialize_responses(context, config, store, models, TRAINED_ARM, config.answers)
