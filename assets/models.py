"""Models: the student before training, and the adapters trained on the dataset."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from assets.adapter_settings import AdapterSettings
from assets.arms import TRAINED_ARM, Arm
from assets.columns import ADAPTERS, table_columns
from assets.dataset import instruction_dataset
from assets.making import MODELS_NEXT, OWNERS, AssetConfig, make_or_reuse
from assets.training import train_in_script
from resources.language_models.roles import LanguageModels
from resources.stores import Artefact, ArtefactStore, Draft, hash_of_folder
from teams_dagster.dataset.card import CARD, DataCard
from teams_dagster.dataset.provenance import LINEAGE
from teams_dagster.ledger.tables import write_table
from teams_dagster.report.markdown import as_markdown_image
from teams_dagster.streams import content_hash
from teams_dagster.student.adapter_config import AdapterConfig, AdapterKind, departures_from_paper, too_few_updates
from teams_dagster.student.model_card import ModelCard
from teams_dagster.student.request import MODEL, REPORT


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
    context: dg.AssetExecutionContext, config: AdapterSettings, store: ArtefactStore
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
    context: dg.AssetExecutionContext, config: AdapterSettings, store: ArtefactStore
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


def adapter_facts(report: dict[str, Any], settings: AdapterConfig) -> dict[str, Any]:
    """What is kept of a training's report, with its settings and what to be warned of."""
    facts = {name: value for name, value in report.items() if name not in ("curve", "too_long")}
    few = too_few_updates(report["updates"])
    losses = {name: [p[name] for p in report["curve"] if p[name] is not None] for name in ("loss", "validation_loss")}
    return facts | {
        "too_long": len(report["too_long"]),
        "settings": settings.model_dump(mode="json"),
        "departures_from_paper": departures_from_paper(settings) if settings.template == "alpaca" else [],
        "warnings": [few] if few else [],
        "final_loss": losses["loss"][-1] if losses["loss"] else None,
        "validation_loss": losses["validation_loss"][-1] if losses["validation_loss"] else None,
    }


def card_of(
    base: Artefact, dataset: Artefact, version: str, settings: AdapterConfig, report: dict[str, Any]
) -> ModelCard:
    """The card of a model trained on `dataset`."""
    embedded = base.facts["embedded"]
    student = "the embedded student" if embedded else base.facts["student"]
    return ModelCard(
        model_version=version,
        base=student,
        base_version=base.data_version,
        base_on_hub=not embedded and not Path(student).is_dir(),
        dataset=DataCard.from_json(dataset.path(CARD).read_text(encoding="utf-8")),
        lineage_sha256=dataset.manifest["files"][LINEAGE],
        config=settings,
        report=report,
    )


def _adapter_version(folder: Path, base_version: str) -> str:
    """Hash of the adapter's files, without the path of its base, which says where the data lies and not what it is."""
    others = {
        path.name: _sha256(path)
        for path in sorted(folder.iterdir())
        if path.name not in ("adapter_config.json", "README.md")
    }
    if not (folder / "adapter_config.json").exists():  # every weight was trained
        return content_hash("model", others)
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    return content_hash("adapter", config | {"base_model_name_or_path": base_version}, others)


def _weights_sha256(folder: Path) -> str:
    """Hash of the weights: of the one file that holds them, or of the hashes of several."""
    files = sorted(folder.glob("*.safetensors"))
    return _sha256(files[0]) if len(files) == 1 else content_hash(*map(_sha256, files))


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
