"""What is worth looking at in an adapter's files."""

from __future__ import annotations

from teams_dagster.core.metadata import Details, Picture
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.student.adapter_config import MODEL
from teams_dagster.student.stored import read_curve


def adapter_preview(artefact: Artefact) -> Details:
    """The training's curve, and where the adapter and its card are."""
    from teams_dagster.report.pictures import training_curves

    kind = artefact.manifest["asset_key"].removesuffix("_model")
    return {
        "training_curve": Picture(training_curves({kind: read_curve(artefact)}), f"Training of the {kind} adapter"),
        "adapter": artefact.folder / MODEL,
        "card": artefact.folder / MODEL / "README.md",
    }
