"""Assets `lora_model` and `qlora_model`: adapters of the base, trained on the dataset."""

import os
from contextlib import nullcontext

import dagster as dg

from assets.columns import ADAPTERS, table_columns
from assets.materialize import MODELS_NEXT, OWNERS, materialization
from assets.models.config import AdapterSettings
from assets.pools import GPU, ON_GPU
from assets.training import cluster_of_trainings, train_beside
from teams_dagster.dataset.arms import TRAINED_ARM, Arm
from teams_dagster.dataset.stored import dataset_file
from teams_dagster.report.preview_evaluation import adapter_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.models import AdapterFacts, BaseFacts
from teams_dagster.store.tables import write_table
from teams_dagster.student.adapter_config import MODEL, AdapterKind, TrainingRequest
from teams_dagster.student.isolation import one_training_at_a_time
from teams_dagster.student.process import less_memory
from teams_dagster.student.stored import (
    adapter_facts,
    adapter_version,
    card_of,
    model_row,
    student_path,
    weights_sha256,
)
from teams_dagster.student.training_run import SCRIPT


@dg.asset(
    group_name="models",
    deps=["base_model", "instruction_dataset"],
    kinds={"huggingface", "torch"},
    owners=OWNERS,
    op_tags=MODELS_NEXT | ON_GPU,
    metadata=table_columns("models", ADAPTERS),
    code_version="2",
    pool=GPU,
    description="A LoRA adapter of the base, trained on the dataset's training side with loss on the response only.",
)
def lora_model(
    context: dg.AssetExecutionContext, config: AdapterSettings, store: dg.ResourceParam[ArtefactStore]
) -> dg.MaterializeResult:
    """Train the LoRA adapter."""
    return train_adapter(context, config, store, "lora", TRAINED_ARM)


@dg.asset(
    group_name="models",
    deps=["base_model", "instruction_dataset"],
    kinds={"huggingface", "torch"},
    owners=OWNERS,
    op_tags=MODELS_NEXT | ON_GPU,
    metadata=table_columns("models", ADAPTERS),
    code_version="2",
    pool=GPU,
    description="A QLoRA adapter: the same on the base's weights in 4 bits (NF4).",
)
def qlora_model(
    context: dg.AssetExecutionContext, config: AdapterSettings, store: dg.ResourceParam[ArtefactStore]
) -> dg.MaterializeResult:
    """Train the QLoRA adapter."""
    return train_adapter(context, config, store, "qlora", TRAINED_ARM)


def train_adapter(
    context: dg.AssetExecutionContext,
    config: AdapterSettings,
    store: ArtefactStore,
    kind: AdapterKind,
    arm: Arm,
    *,
    listed_as: str | None = None,
    stop_after: int | None = None,
) -> dg.MaterializeResult:
    """Train an adapter on an arm's dataset; a training that was interrupted goes on from its last checkpoint.

    Args:
        listed_as: The adapter's kind in table `models`; by default that of its settings.
        stop_after: Updates after which it ends, on the schedule of all that are configured; None: at its end.

    Raises:
        SettingsRefused: The settings do not fit each other.
        TrainingFailed: The training ended without a model.
    """
    base, dataset = store.current("base_model"), store.current(arm.dataset)
    settings = config.resolved(kind, embedded=base.read_facts(BaseFacts).embedded)
    inputs = {"base_model": base.data_version, arm.dataset: dataset.data_version}
    if stop_after is not None:
        settings = settings.model_copy(update={"stop_after": stop_after})
        inputs["stop after"] = f"{stop_after} updates"
    with materialization(context, store, config=config, settings=config.deciding, inputs=inputs, resume=True) as made:
        if made.draft is not None:
            request = TrainingRequest(
                base=student_path(base),
                train=dataset_file(dataset, "train"),
                validation=dataset_file(dataset, "validation"),
                folder=made.folder,
                config=settings,
                launcher=config.launcher,
                processes=config.processes,
                parent=os.getpid(),
            )
            small = base.read_facts(BaseFacts).embedded  # takes one processor and little memory
            apart = small or cluster_of_trainings() is not None  # which gives out its processors and devices itself
            with nullcontext() if apart else one_training_at_a_time(store.root, context.log.info):
                report = train_beside(
                    context, request, SCRIPT, less_memory(settings), launched=config.launcher != "none"
                )
            facts, folder = adapter_facts(report, settings), made.folder / MODEL
            for warning in facts.warnings:
                context.log.warning(warning)
            version = adapter_version(folder, base.data_version)
            card_of(base, dataset, version, settings, report).write(folder)
            row = model_row(
                listed_as or settings.kind, version, MODEL, weights_sha256(folder), config.deciding, context.run.run_id
            )
            trained_from = {"dataset_version": dataset.data_version, "base_version": base.data_version}
            write_table(made.folder, "models", [row | trained_from])
            made.finish(version, facts)
    return made.result(AdapterFacts, adapter_preview)
