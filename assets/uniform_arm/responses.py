"""Responses of the uniform arm."""

import dagster as dg

from assets.arms import materialize_responses
from assets.columns import UNIFORM_SAMPLES, table_columns
from assets.dataset.config import ResponsesConfig
from assets.materialize import OWNERS
from assets.partitions import GENERATIONS
from assets.pools import LANGUAGE_MODELS
from resources.language_models.roles import LanguageModels
from teams_dagster.dataset.arms import UNIFORM_ARM
from teams_dagster.store.artefact_store import ArtefactStore


@dg.asset(
    group_name="uniform_arm",
    deps=["uniform_instructions"],
    partitions_def=GENERATIONS,
    kinds={"openai", "parquet"},
    owners=OWNERS,
    metadata=table_columns("samples", UNIFORM_SAMPLES),
    code_version="2",
    pool=LANGUAGE_MODELS,
    description="The expert's answer to every accepted instruction of the uniform arm.",
)
def uniform_responses(
    context: dg.AssetExecutionContext,
    config: ResponsesConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Ask the expert to answer each accepted instruction of the arm's generation."""
    return materialize_responses(context, config, store, models, UNIFORM_ARM)
