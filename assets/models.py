"""Models: the student before training, and the adapters trained on the dataset."""

import json
from dataclasses import asdict
from typing import Any

import dagster as dg
from pydantic import Field

from assets.adapter_settings import AdapterSettings
from assets.columns import ADAPTERS, table_columns
from assets.dataset import instruction_dataset
from assets.making import make_or_reuse
from assets.materialize import MODELS_NEXT, OWNERS, AssetConfig
from assets.training import train_in_script
from resources.language_models.roles import LanguageModels
from teams_dagster.core.files import file_sha256
from teams_dagster.core.markdown import as_markdown_image
from teams_dagster.dataset.arms import TRAINED_ARM, Arm
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft, hash_of_folder
from teams_dagster.store.tables import write_table
from teams_dagster.student.adapter_config import AdapterKind
from teams_dagster.student.request import MODEL, REPORT
from teams_dagster.student.stored import (
    _adapter_version,
    _student_version,
    _weights_sha256,
    adapter_facts,
    card_of,
    read_curve,
    student_path,
)


class BaseConfig(AssetConfig):
    """How the embedded student is made. A configured one is taken as it is."""

    seed: int = Field(default=0, description="Seed of the first weights and of the order of the texts.")
    steps: int = Field(default=280, ge=1, description="Pre-training updates of the embedded student.")


@dg.asset(
    group_name="models",
    kinds={"huggingface"},
    owners=OWNERS,
    op_tags=MODELS_NEXT,
    metadata=table_columns("models"),
    code_version="1",
    description="The student before training: the model TEAMS_STUDENT names, or a tiny one pre-trained on the spot.",
)
def base_model(
    context: dg.AssetExecutionContext,
    config: BaseConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Point at the configured student, or pre-train the embedded one."""
    student = models.settings().student
    given = _student_version(student) if student else None

    def make(draft: Draft) -> None:
        if given is not None:
            facts, version, sha256 = {"student": student, "embedded": False}, given, None
        else:
            facts = _embedded(context, config, draft)
            version = hash_of_folder(draft.folder / MODEL)
            sha256 = file_sha256(draft.folder / MODEL / "model.safetensors")
        row = _model_row(context, "base", version, student or MODEL, config, sha256)
        write_table(draft.folder, "models", [row])
        draft.finish(version, facts)

    from teams_dagster.student.corpus import corpus_version

    inputs = {"student": given or f"embedded {corpus_version()}"}
    return make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show_base)


def _embedded(context: dg.AssetExecutionContext, config: BaseConfig, draft: Draft) -> dict[str, object]:
    from teams_dagster.student.base import build_embedded_base

    report = build_embedded_base(draft.folder / MODEL, seed=config.seed, steps=config.steps, progress=context.log.info)
    (draft.folder / REPORT).write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    return {
        "student": "embedded",
        "embedded": True,
        "parameters": report.parameters,
        "vocabulary": report.vocabulary,
        "steps": report.steps,
        "final_loss": report.curve[-1].loss,
    }


@dg.asset(
    group_name="models",
    deps=[base_model, instruction_dataset],
    kinds={"huggingface", "torch"},
    owners=OWNERS,
    op_tags=MODELS_NEXT,
    metadata=table_columns("models", ADAPTERS),
    code_version="2",
    description="A LoRA adapter of the base, trained on the dataset's training side with loss on the response only.",
)
def lora_model(
    context: dg.AssetExecutionContext, config: AdapterSettings, store: dg.ResourceParam[ArtefactStore]
) -> dg.MaterializeResult:
    """Train the LoRA adapter."""
    return _train(context, config, store, "lora")


@dg.asset(
    group_name="models",
    deps=[base_model, instruction_dataset],
    kinds={"huggingface", "torch"},
    owners=OWNERS,
    op_tags=MODELS_NEXT,
    metadata=table_columns("models", ADAPTERS),
    code_version="2",
    description="A QLoRA adapter: the same on the base's weights in 4 bits (NF4).",
)
def qlora_model(
    context: dg.AssetExecutionContext, config: AdapterSettings, store: dg.ResourceParam[ArtefactStore]
) -> dg.MaterializeResult:
    """Train the QLoRA adapter."""
    return _train(context, config, store, "qlora")


def _train(
    context: dg.AssetExecutionContext, config: AdapterSettings, store: ArtefactStore, kind: AdapterKind
) -> dg.MaterializeResult:
    return train_adapter(context, config, store, kind, TRAINED_ARM)


def train_adapter(
    context: dg.AssetExecutionContext,
    config: AdapterSettings,
    store: ArtefactStore,
    kind: AdapterKind,
    arm: Arm,
    *,
    listed_as: str | None = None,
) -> dg.MaterializeResult:
    """Train an adapter on an arm's dataset. Table `models` has it as `listed_as`, by default as its kind."""
    base, dataset = store.current("base_model"), store.current(arm.dataset)
    settings = config.resolved(kind, embedded=base.facts["embedded"])

    def make(draft: Draft) -> None:
        report = train_in_script(context, student_path(base), dataset, draft.folder, settings, config)
        folder = draft.folder / MODEL
        version = _adapter_version(folder, base.data_version)
        facts = adapter_facts(report, settings)
        for warning in facts["warnings"]:
            context.log.warning(warning)
        card_of(base, dataset, version, settings, report).write(folder)
        row = _model_row(context, listed_as or settings.kind, version, MODEL, config, _weights_sha256(folder)) | {
            "dataset_version": dataset.data_version,
            "base_version": base.data_version,
        }
        write_table(draft.folder, "models", [row])
        draft.finish(version, facts)

    inputs = {"base_model": base.data_version, arm.dataset: dataset.data_version}
    return make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show_adapter, resume=True)


def _model_row(
    context: dg.AssetExecutionContext, kind: str, version: str, path: str, config: AssetConfig, sha256: str | None
) -> dict[str, Any]:
    return {
        "model_version": version,
        "kind": kind,
        "path": path,
        "sha256": sha256,
        "config": json.dumps(config.model_dump(mode="json", exclude={"force"}), sort_keys=True),
        "run_id": context.run.run_id,
    }


def _show_base(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    return {name: str(value) if isinstance(value, bool) else value for name, value in artefact.facts.items()}


def _show_adapter(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    from teams_dagster.report import pictures

    facts = artefact.facts
    kind = artefact.manifest["asset_key"].removesuffix("_model")
    picture = pictures.training_curves({kind: read_curve(artefact)})
    shown = ("kind", "updates", "kept_update", "trainable_parameters", "examples", "response_tokens", "too_long")
    where = ("device", "processes", "dtype", "template")
    return {
        "training_curve": dg.MetadataValue.md(as_markdown_image(picture, f"Training of the {kind} adapter")),
        **{name: facts[name] for name in (*shown, *where)},
        **{name: facts[name] for name in ("final_loss", "validation_loss") if facts[name] is not None},
        **({"four_bit": dg.MetadataValue.json(facts["four_bit"])} if facts["four_bit"] else {}),
        "settings": dg.MetadataValue.json(facts["settings"]),
        **(
            {"departures_from_paper": ", ".join(facts["departures_from_paper"])}
            if facts["departures_from_paper"]
            else {}
        ),
        **({"warnings": ". ".join(facts["warnings"])} if facts["warnings"] else {}),
        "adapter": dg.MetadataValue.path(str(artefact.folder / MODEL)),
        "card": dg.MetadataValue.path(str(artefact.folder / MODEL / "README.md")),
    }
