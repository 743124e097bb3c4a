"""The base and its adapters, as artefacts hold them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from teams_dagster.core.files import file_sha256
from teams_dagster.core.hashing import content_hash
from teams_dagster.dataset.card import CARD, DataCard
from teams_dagster.dataset.provenance import LINEAGE
from teams_dagster.model_files import ModelFault
from teams_dagster.store.artefact_store import Artefact, hash_of_folder
from teams_dagster.store.facts.models import AdapterFacts, BaseFacts
from teams_dagster.student.adapter_config import MODEL, REPORT, AdapterConfig, departures_from_paper, too_few_updates
from teams_dagster.student.model_card import ModelCard
from teams_dagster.weights import unpack_gguf

if TYPE_CHECKING:
    from teams_dagster.student.curves import TrainingPoint
    from teams_dagster.student.loading import Student

ADAPTERS = ("lora", "qlora")
"""The adapters that are trained and compared with the base; each is in the asset `<name>_model`."""


def student_version(student: str) -> str:
    """What a configured student is: the content of its folder or GGUF file, or the commit of its hub repository.

    Raises OSError, by transformers, when there is no such model.
    """
    if Path(student).is_dir():
        return hash_of_folder(Path(student))
    if Path(student).is_file():
        return file_sha256(Path(student))
    from transformers import AutoConfig

    return f"{student}@{cast(Any, AutoConfig).from_pretrained(student, trust_remote_code=False)._commit_hash}"


def configured_version(student: str) -> str:
    """The same, of what TEAMS_STUDENT names. Raises StudentFault when there is no such model."""
    from teams_dagster.student.weights import check_weights

    check_weights(student)
    try:
        return student_version(student)
    except OSError as error:
        from teams_dagster.student.architecture import not_found

        raise not_found(student, error) from error


def student_path(base: Artefact) -> str:
    """What to load the student from: a folder or a hub id."""
    facts = base.read_facts(BaseFacts)
    return str(base.path(MODEL)) if facts.embedded or facts.unpacked else facts.student


def student_loaders(models: Mapping[str, Artefact]) -> dict[str, Callable[[], Student]]:
    """By name, what loads the base and each adapter on it: `models` holds their artefacts, the base as `base`."""
    from teams_dagster.student.loading import load_adapter, load_student

    base = student_path(models["base"])
    adapters = {name: partial(load_adapter, base, folder) for name, folder in adapter_folders(models).items()}
    return {"base": partial(load_student, base), **adapters}


def adapter_folders(models: Mapping[str, Artefact]) -> dict[str, Path]:
    """The folder of each adapter among `models`, by name."""
    return {name: model.path(MODEL) for name, model in models.items() if name != "base"}


def make_embedded_base(folder: Path, *, seed: int, steps: int, progress: Callable[[str], None]) -> BaseFacts:
    """Pre-train the embedded student: its model and the report of its training are written into `folder`."""
    from teams_dagster.student.base import build_embedded_base

    report = build_embedded_base(folder / MODEL, seed=seed, steps=steps, progress=progress)
    (folder / REPORT).write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    return BaseFacts(
        student="embedded",
        embedded=True,
        parameters=report.parameters,
        vocabulary=report.vocabulary,
        steps=report.steps,
        final_loss=report.curve[-1].loss,
    )


def take_configured_base(folder: Path, student: str) -> BaseFacts:
    """Look at the student that TEAMS_STUDENT names, and unpack it into `folder` where it is in a GGUF file.

    Raises StudentFault, which says what was wrong and which setting helps.
    """
    from teams_dagster.student.admission import examine_student
    from teams_dagster.student.quiet import quieten_transformers
    from teams_dagster.student.weights import StudentFault, gguf_file

    found, packed = examine_student(student), gguf_file(student)
    if packed is not None:
        quieten_transformers()
        try:
            unpack_gguf(packed, folder / MODEL, dtype="float32")
        except ModelFault as fault:
            raise StudentFault(packed, fault.said) from fault
        except (OSError, ValueError, KeyError) as error:
            raise StudentFault(
                packed, f"which transformers cannot unpack ({error}): set it to a folder with safetensors"
            ) from error
    return BaseFacts(
        student=student,
        embedded=False,
        unpacked=packed is not None,
        vocabulary=found.vocabulary,
        template=found.template,
        end_token=found.end_token,
        template_clock=found.clock,
        notes=list(found.notes),
    )


def model_row(
    kind: str, version: str, path: str, sha256: str | None, config: Mapping[str, Any], run_id: str
) -> dict[str, Any]:
    """The row of table `models` for a model; an adapter's has the versions that it was trained from beside."""
    return {
        "model_version": version,
        "kind": kind,
        "path": path,
        "sha256": sha256,
        "config": json.dumps(config, sort_keys=True),
        "run_id": run_id,
    }


def adapter_facts(report: dict[str, Any], settings: AdapterConfig) -> AdapterFacts:
    """What is kept of a training's report, with its settings and what to be warned of."""
    few = too_few_updates(report["updates"])
    losses = {name: [p[name] for p in report["curve"] if p[name] is not None] for name in ("loss", "validation_loss")}
    derived = {
        "too_long": len(report["too_long"]),
        "unwritable": len(report["unwritable"]),
        "settings": settings.model_dump(mode="json"),
        "departures_from_paper": departures_from_paper(settings) if settings.template == "alpaca" else [],
        "warnings": [few] if few else [],
        "final_loss": losses["loss"][-1] if losses["loss"] else None,
        "validation_loss": losses["validation_loss"][-1] if losses["validation_loss"] else None,
    }
    return AdapterFacts.model_validate(report | derived)


def card_of(
    base: Artefact, dataset: Artefact, version: str, settings: AdapterConfig, report: dict[str, Any]
) -> ModelCard:
    """The card of a model trained on `dataset`."""
    facts = base.read_facts(BaseFacts)
    return ModelCard(
        model_version=version,
        base=student_name(facts),
        base_version=base.data_version,
        base_on_hub=on_hub(facts),
        dataset=DataCard.from_json(dataset.path(CARD).read_text(encoding="utf-8")),
        lineage_sha256=dataset.manifest["files"][LINEAGE],
        config=settings,
        report=report,
    )


def student_name(base: BaseFacts) -> str:
    """What a card calls the base."""
    return "the embedded student" if base.embedded else base.student


def on_hub(base: BaseFacts) -> bool:
    """Whether the base is a repository of the hub, and no folder or file here."""
    return not base.embedded and not Path(base.student).exists()


def adapter_version(folder: Path, base_version: str) -> str:
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


def weights_sha256(folder: Path) -> str:
    """Hash of the weights: of the one file that holds them, or of the hashes of several."""
    files = sorted(folder.glob("*.safetensors"))
    return file_sha256(files[0]) if len(files) == 1 else content_hash(*map(file_sha256, files))


def read_curve(adapter: Artefact) -> list[TrainingPoint]:
    """The training curve of an adapter's artefact."""
    from teams_dagster.student.curves import TrainingPoint

    report = json.loads(adapter.path(REPORT).read_text(encoding="utf-8"))
    return [TrainingPoint(**point) for point in report["curve"]]
