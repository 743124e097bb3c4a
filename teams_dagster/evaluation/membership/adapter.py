"""Membership inference of one adapter, beside its base."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from teams_dagster.dataset.stored import read_examples, read_steps
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.student.adapter_config import MODEL
from teams_dagster.student.stored import student_path


def audit_adapter(
    models: Mapping[str, Artefact], name: str, dataset: Artefact, *, seed: int, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Every attack on the model `name` and its base: a row per attack and model.

    Args:
        models: The artefacts by name, the base as `base`.
        dataset: What the model was trained on.

    Raises ValueError where no training example and no held-out one are alike.
    """
    from teams_dagster.evaluation.membership.audit import audit_privacy

    audit = audit_privacy(
        student_path(models["base"]),
        {name: models[name].path(MODEL)},
        read_examples(dataset, "train"),
        read_examples(dataset, "held_out"),
        read_steps(dataset),
        seed=seed,
        progress=progress,
    )
    return [asdict(result) for result in audit.results]
