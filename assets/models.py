"""Models: the student before training, and the adapters trained on the dataset."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from assets.columns import ADAPTERS, table_columns
from assets.dataset import instruction_dataset, read_examples
from assets.making import OWNERS, AssetConfig, make_or_reuse
from resources.language_models.roles import LanguageModels
from resources.stores import Artefact, ArtefactStore, Draft, hash_of_folder
from teams_dagster.ledger.tables import write_table
from teams_dagster.report.markdown import as_markdown_image
from teams_dagster.streams import content_hash
from teams_dagster.student.adapter_config import AdapterConfig, AdapterKind, embedded_adapter_config

MODEL = "model"
REPORT = "report.json"


class BaseConfig(AssetConfig):
    """How the embedded student is made. A configured one is taken as it is."""

    seed: int = Field(default=0, description="Seed of the first weights and of the order of the texts.")
    steps: int = Field(default=280, ge=1, description="Pre-training updates of the embedded student.")


@dg.asset(
    group_name="models",
    kinds={"huggingface"},
    owners=OWNERS,
    metadata=table_columns("models"),
    code_version="1",
    description="The student before training: the model TEAMS_STUDENT names, or a tiny one pre-trained on the spot.",
)
def base_model(
    context: dg.AssetExecutionContext, config: BaseConfig, store: ArtefactStore, models: LanguageModels
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
            sha256 = _sha256(draft.folder / MODEL / "model.safetensors")
        row = _model_row(context, "base", version, student or MODEL, config, sha256)
        write_table(draft.folder, "models", [row])
        draft.finish(version, facts)

    from teams_dagster.student.corpus import corpus_version

    inputs = {"student": given or f"embedded {corpus_version()}"}
    return make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show_base)


def _student_version(student: str) -> str:
    """What a configured student is: the content of its folder, or the commit of its hub repository.

    Raises OSError, by transformers, when there is no such model.
    """
    if Path(student).is_dir():
        return hash_of_folder(Path(student))
    from transformers import AutoConfig

    return f"{student}@{AutoConfig.from_pretrained(student)._commit_hash}"


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


def student_path(base: Artefact) -> str:
    """What to load the student from: a folder or a hub id."""
    return str(base.path(MODEL)) if base.facts["embedded"] else base.facts["student"]


class AdapterSettings(AssetConfig):
    """How an adapter is trained. Zero and empty mean: the default for this student."""

    learning_rate: float = Field(default=0.0, ge=0, description="Peak learning rate; 0 for the student's default.")
    epochs: float = Field(default=0.0, ge=0, description="Passes over the training side; 0 for the student's default.")
    rank: int = Field(default=16, ge=1, description="Rank of the adapter's matrices.")
    alpha: int = Field(default=32, ge=1, description="Scale of the adapter, divided by the rank.")
    batch_size: int = Field(default=0, ge=0, description="Examples an update and device; 0 for the student's default.")
    gradient_accumulation: int = Field(default=1, ge=1, description="Batches an update.")
    max_length: int = Field(default=0, ge=0, description="Longest example in tokens; 0 for the student's default.")
    seed: int = Field(default=0, description="Seed of the adapter's first weights and of the order of the examples.")


@dg.asset(
    group_name="models",
    deps=[base_model, instruction_dataset],
    kinds={"huggingface", "torch"},
    owners=OWNERS,
    metadata=table_columns("models", ADAPTERS),
    code_version="1",
    description="A LoRA adapter of the base, trained on the dataset's training side with loss on the response only.",
)
def lora_model(
    context: dg.AssetExecutionContext, config: AdapterSettings, store: ArtefactStore
) -> dg.MaterializeResult:
    """Train the LoRA adapter."""
    return _train(context, config, store, "lora")


@dg.asset(
    group_name="models",
    deps=[base_model, instruction_dataset],
    kinds={"huggingface", "torch"},
    owners=OWNERS,
    metadata=table_columns("models", ADAPTERS),
    code_version="1",
    description="A QLoRA adapter: the same on the base's weights in 4 bits (NF4).",
)
def qlora_model(
    context: dg.AssetExecutionContext, config: AdapterSettings, store: ArtefactStore
) -> dg.MaterializeResult:
    """Train the QLoRA adapter."""
    return _train(context, config, store, "qlora")


def _train(
    context: dg.AssetExecutionContext, config: AdapterSettings, store: ArtefactStore, kind: AdapterKind
) -> dg.MaterializeResult:
    base, dataset = store.current("base_model"), store.current("instruction_dataset")

    def make(draft: Draft) -> None:
        from teams_dagster.student.adapters import train_adapter

        folder = draft.folder / MODEL
        report = train_adapter(
            student_path(base),
            read_examples(dataset, "train"),
            read_examples(dataset, "validation"),
            folder,
            _adapter_config(config, kind, embedded=base.facts["embedded"]),
            context.log.info,
        )
        (draft.folder / REPORT).write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
        version = _adapter_version(folder, base.data_version)
        row = _model_row(context, kind, version, MODEL, config, _sha256(folder / "adapter_model.safetensors")) | {
            "dataset_version": dataset.data_version,
            "base_version": base.data_version,
        }
        write_table(draft.folder, "models", [row])
        draft.finish(version, _adapter_facts(report))

    inputs = {"base_model": base.data_version, "instruction_dataset": dataset.data_version}
    return make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show_adapter)


def _adapter_config(settings: AdapterSettings, kind: AdapterKind, *, embedded: bool):
    default = embedded_adapter_config(kind) if embedded else AdapterConfig(kind=kind)
    given = {name: value for name, value in settings.model_dump(exclude={"force"}).items() if value}
    return default.model_copy(update=given)


def _adapter_facts(report) -> dict[str, object]:
    facts = {name: value for name, value in asdict(report).items() if name not in ("curve", "too_long")}
    return facts | {
        "too_long": len(report.too_long),
        "final_loss": next((p.loss for p in reversed(report.curve) if p.loss is not None), None),
        "validation_loss": next((p.validation_loss for p in reversed(report.curve) if p.validation_loss), None),
    }


def _adapter_version(folder: Path, base_version: str) -> str:
    """Hash of the adapter's files, without the path of its base, which says where the data lies and not what it is."""
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    others = {path.name: _sha256(path) for path in sorted(folder.iterdir()) if path.name != "adapter_config.json"}
    return content_hash("adapter", config | {"base_model_name_or_path": base_version}, others)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def read_curve(adapter: Artefact) -> list:
    """The training curve of an adapter's artefact."""
    from teams_dagster.student.curves import TrainingPoint

    report = json.loads(adapter.path(REPORT).read_text(encoding="utf-8"))
    return [TrainingPoint(**point) for point in report["curve"]]


def _show_adapter(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    from teams_dagster.report import pictures

    facts = artefact.facts
    kind = artefact.manifest["asset_key"].removesuffix("_model")
    picture = pictures.training_curves({kind: read_curve(artefact)})
    plain = (
        "updates",
        "trainable_parameters",
        "examples",
        "response_tokens",
        "too_long",
        "device",
        "dtype",
        "template",
    )
    return {
        "training_curve": dg.MetadataValue.md(as_markdown_image(picture, f"Training of the {kind} adapter")),
        **{name: facts[name] for name in plain},
        **{name: facts[name] for name in ("final_loss", "validation_loss") if facts[name] is not None},
        **({"four_bit": dg.MetadataValue.json(facts["four_bit"])} if facts["four_bit"] else {}),
        "adapter": dg.MetadataValue.path(str(artefact.folder / MODEL)),
    }
