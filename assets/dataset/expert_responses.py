"""Responses: the expert answers every accepted instruction of a generation."""

from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
from pydantic import Field

from assets.columns import SAMPLES, table_columns
from assets.generation import generated_instructions
from assets.making import NothingToRetry, make_or_reuse, refuse_silence
from assets.manifests import identities_of
from assets.materialize import DATASET_FIRST, OWNERS, AssetConfig, output_of
from assets.outcomes import outcome_facts, outcome_metadata
from assets.partitions import GENERATIONS
from resources.language_models.roles import LanguageModels
from teams_dagster.core.markdown import markdown_table
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.answers import NO_ANSWER, answer_transitions
from teams_dagster.dataset.arms import TRAINED_ARM, Arm, arm_of
from teams_dagster.dataset.generation import GenerationManifest, check_continuable
from teams_dagster.dataset.manifests import generated_for, prompt_versions, read_manifest
from teams_dagster.dataset.query_forecast import response_questions
from teams_dagster.dataset.stored import accepted_of, responses_inputs
from teams_dagster.environment.recording import content_of
from teams_dagster.instructions.stored_prompts import write_prompts
from teams_dagster.llm import loop
from teams_dagster.llm.engine import CallContext, Engine
from teams_dagster.llm.ordered import AHEAD
from teams_dagster.llm.progress import Progress
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore, Draft, Output
from teams_dagster.store.facts.base import UNANSWERED
from teams_dagster.store.tables import TableWriter

SHOWN = 5


class ResponsesConfig(AssetConfig):
    """Which answers are asked for."""

    only_failed: bool = Field(
        default=False,
        description="Ask again what got no answer, once this generation was answered; never answer one for the first"
        " time.",
    )


@dg.asset(
    group_name="dataset",
    deps=[generated_instructions],
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
    return answer_generation(context, config, store, models, TRAINED_ARM)


def answer_generation(
    context: dg.AssetExecutionContext,
    config: ResponsesConfig,
    store: ArtefactStore,
    models: LanguageModels,
    arm: Arm,
) -> dg.MaterializeResult:
    """Have the expert answer the instructions of an arm's generation, or reuse what it answered before."""
    generated = store.current(arm.instructions, context.partition_key)
    refuse_unanswered(config, store, generated)
    where = CallContext(context.run.run_id, arm.responses, context.partition_key)

    def make(draft: Draft) -> None:
        manifest = read_manifest(generated)
        check_continuable(manifest, prompt_versions(), identities_of(models))
        earlier = responses_output(context.assets_def, config, generated).earlier(store)
        expected = response_questions(generated, earlier)
        asking = models.asking(where, Role.EXPERT, expected=expected, log=context.log.info, batches=True)
        width = models.at_once(Role.EXPERT, direct=AHEAD * models.settings().max_in_flight)
        loop.run(_answer(context, asking, generated, manifest, draft, width=width))
        write_prompts(draft.folder, context.run.run_id)
        facts = _judge(draft) | outcome_facts(models, where)
        refuse_silence(facts, "samples", facts[UNANSWERED])
        draft.finish(content_of(draft.folder / "samples.parquet"), facts)

    return make_or_reuse(
        context,
        store,
        config=config,
        settings={},
        inputs=responses_inputs(generated),
        make=make,
        show=_show_responses,
        published=models.publish,
    )


def responses_output(asset: dg.AssetsDefinition, config: ResponsesConfig, generated: Artefact) -> Output:
    """The answers of a generation, whether they were made yet or not."""
    partition_key = generated.manifest["partition_key"]
    return output_of(asset, config, responses_inputs(generated), settings={}, partition_key=partition_key)


def refuse_unanswered(config: ResponsesConfig, store: ArtefactStore, generated: Artefact) -> None:
    """Raises NothingToRetry where only failed questions are wanted, and the generation was never answered.

    Answers to the same generation before its own failed questions were asked again are enough: what those brought
    is to be answered, too.
    """
    if not config.only_failed:
        return
    partition_key, manifest = generated.manifest["partition_key"], read_manifest(generated)
    arm = arm_of(generated.manifest["asset_key"])
    for responses in store.all_of(arm.responses, partition_key):
        with suppress(ArtefactMissing):
            if read_manifest(generated_for(store, responses)) == manifest:
                return
    raise NothingToRetry(
        f"the answers of generation {partition_key} were never finished, so none of them failed: materialise"
        f" {arm.responses} for it to ask for them"
    )


async def _answer(
    context: dg.AssetExecutionContext,
    asking: AbstractAsyncContextManager[Engine],
    generated: Artefact,
    manifest: GenerationManifest,
    draft: Draft,
    *,
    width: int,
) -> None:
    total = generated.facts["accepted"]
    async with asking as engine, Progress(total, "answers", engine.tallies, context.log.info) as progress:
        with TableWriter(draft.folder, "samples") as samples:
            async for sample in answer_transitions(
                engine,
                accepted_of(generated),
                dict(manifest.replicas),
                partition_key=manifest.partition_key,
                width=width,
            ):
                samples.write([sample.row() | {"run_id": context.run.run_id}])
                progress.done(sample.accepted)


def _judge(draft: Draft) -> dict[str, Any]:
    rows = pq.read_table(draft.folder / "samples.parquet", columns=["accepted", "reason"]).to_pylist()
    refused: dict[str, int] = {}
    for row in rows:
        if not row["accepted"]:
            refused[row["reason"]] = refused.get(row["reason"], 0) + 1
    unanswered = sum(count for reason, count in refused.items() if reason.startswith(NO_ANSWER))
    return {
        "samples": len(rows),
        "kept": len(rows) - sum(refused.values()),
        "refused": refused,
        UNANSWERED: unanswered,
    }


def _show_responses(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    facts = artefact.facts
    batches = pq.ParquetFile(artefact.path("samples.parquet")).iter_batches(
        SHOWN, columns=["instruction", "input", "response"]
    )
    first = next(batches, None)
    rows = [tuple(row.values()) for row in first.to_pylist()] if first else []
    return {
        "dagster/row_count": facts["samples"],
        "kept": facts["kept"],
        "refused": dg.MetadataValue.json(facts["refused"]),
        "examples": dg.MetadataValue.md(markdown_table(("instruction", "input", "response"), rows)),
        **outcome_metadata(facts),
    }
