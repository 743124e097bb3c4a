"""The base and its adapters, as artefacts hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from teams_dagster.core.files import file_sha256
from teams_dagster.core.hashing import content_hash
from teams_dagster.dataset.card import CARD, DataCard
from teams_dagster.dataset.provenance import LINEAGE
from teams_dagster.store.artefact_store import Artefact, hash_of_folder
from teams_dagster.student.adapter_config import AdapterConfig, departures_from_paper, too_few_updates
from teams_dagster.student.model_card import ModelCard
from teams_dagster.student.request import MODEL, REPORT


def _student_version(student: str) -> str:
    """What a configured student is: the content of its folder, or the commit of its hub repository.

    Raises OSError, by transformers, when there is no such model.
    """
    if Path(student).is_dir():
        return hash_of_folder(Path(student))
    from transformers import AutoConfig

    return f"{student}@{AutoConfig.from_pretrained(student)._commit_hash}"


def student_path(base: Artefact) -> str:
    """What to load the student from: a folder or a hub id."""
    return str(base.path(MODEL)) if base.facts["embedded"] else base.facts["student"]


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
        path.name: file_sha256(path)
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
    return file_sha256(files[0]) if len(files) == 1 else content_hash(*map(file_sha256, files))


def read_curve(adapter: Artefact) -> list:
    """The training curve of an adapter's artefact."""
    from teams_dagster.student.curves import TrainingPoint

    report = json.loads(adapter.path(REPORT).read_text(encoding="utf-8"))
    return [TrainingPoint(**point) for point in report["curve"]]
