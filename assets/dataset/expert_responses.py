"""Responses: the expert answers every accepted instruction of a generation."""

import dagster as dg

from assets.columns import SAMPLES, table_columns
from assets.dataset.config import ResponsesConfig
from assets.materialize import DATASET_FIRST, OWNERS, materialization, output_of
from assets.partitions import GENERATIONS
from resources.language_models.roles import LanguageModels
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.manifests import ROLES, check_as_begun, read_manifest
from teams_dagster.dataset.query_forecast import response_questions
from teams_dagster.dataset.responses import answer_generation, refuse_unanswered, response_facts
from teams_dagster.dataset.stored import responses_inputs
from teams_dagster.environment.recording import content_of
from teams_dagster.llm.engine import CallContext
from teams_dagster.llm.ordered import AHEAD
from teams_dagster.report.preview_dataset import responses_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import ResponseFacts


@dg.asset(
    group_name="dataset",
    deps=["generated_instructions"],
    partitions_def=GENERATIONS,
    kinds={"openai", "parquet"},
    owners=OWNERS,
    op_tags=DATASET_FIRST,
    metadata=table_columns("samples", SAMPLES),
    code_version="1",
    description="The expert's answer to every accepted instruction; rejected answers are kept with their reason.",
)
def expert_responses(
    context: dg.AssetExecutionContext,
    config: ResponsesConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Ask the expert to answer each accepted instruction of the generation."""
    partition, log = context.partition_key, context.log.info
    generated = store.current("generated_instructions", partition)
    if config.only_failed:
        refuse_unanswered(store, generated)
    inputs = responses_inputs(generated)
    with materialization(context, store, config=config, settings={}, inputs=inputs, publish=models.publish) as made:
        if made.draft is not None:
            check_as_begun(read_manifest(generated), models.identities(*ROLES))
            where = CallContext(context.run.run_id, "expert_responses", partition)
            output = output_of(context.assets_def, config, inputs, settings={}, partition_key=partition)
            expected = response_questions(generated, output.earlier(store))
            asking = models.asking(where, Role.EXPERT, expected=expected, log=log, batches=True)
            width = models.at_once(Role.EXPERT, direct=AHEAD * models.settings().max_in_flight)
            answer_generation(made.folder, where.run_id, generated, asking, width=width, log=log)
            facts = response_facts(made.folder, models.outcomes(where))
            made.finish(content_of(made.folder / "samples.parquet"), facts)
    return made.result(ResponseFacts, responses_preview)
