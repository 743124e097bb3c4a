"""Scores of the uniform arm's adapter beside the base's and lora's: what the trained policy is worth to the student."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from teams_dagster.dataset.arms import ARMS
from teams_dagster.dataset.export import examples_in
from teams_dagster.dataset.stored import dataset_file, read_examples
from teams_dagster.evaluation.scores import AGAINST_LORA, OWN_SIDE, ModelVersions, Score
from teams_dagster.evaluation.statistics import normal_interval
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.student.adapter_config import MODEL
from teams_dagster.student.stored import student_path

if TYPE_CHECKING:
    from teams_dagster.evaluation.comparison import Evaluation

BASE, LORA, LORA_UNIFORM = "base", "lora", "lora_uniform"

MODELS = {BASE: "base_model", LORA: "lora_model", LORA_UNIFORM: "lora_uniform"}
"""The compared models, and the assets that hold them."""


def compared_models(store: ArtefactStore) -> dict[str, Artefact]:
    """The compared models by name. Raises ArtefactMissing."""
    return {name: store.current(key) for name, key in MODELS.items()}


def compared_datasets(store: ArtefactStore) -> dict[str, Artefact]:
    """The dataset of each arm by asset key. Raises ArtefactMissing."""
    return {arm.dataset: store.current(arm.dataset) for arm in ARMS}


def versions_of(models: Mapping[str, Artefact], dataset: Artefact) -> ModelVersions:
    """What the rows of a comparison on `dataset` name."""
    return ModelVersions({name: model.data_version for name, model in models.items()}, dataset.data_version)


def evaluate_on(
    models: Mapping[str, Artefact], dataset: Artefact, *, seed: int, progress: Callable[[str], None]
) -> Evaluation:
    """Every model on the held-out side of `dataset`."""
    from teams_dagster.evaluation.comparison import evaluate_models

    return evaluate_models(
        student_path(models[BASE]),
        {name: models[name].path(MODEL) for name in (LORA, LORA_UNIFORM)},
        examples_in(dataset_file(dataset, "train")),
        read_examples(dataset, "held_out"),
        versions_of(models, dataset),
        seed=seed,
        progress=progress,
    )


def arm_scores(main: Sequence[Score], benchmarks: Sequence[Score], own: Sequence[Score]) -> list[Score]:
    """The rows worth writing: `evaluation_scores` has those of base and lora on the main line's side already.

    Args:
        main: Scores on the held-out side of the main line's dataset.
        benchmarks: Scores of `lora_uniform` on the benchmarks.
        own: Scores on the held-out side of the uniform arm's dataset.
    """
    return [
        *(score for score in main if score.model == LORA_UNIFORM),
        *benchmarks,
        *(replace(score, task=score.task + OWN_SIDE) for score in own),
    ]


def score_row(score: Score) -> dict[str, Any]:
    """A row of table `evaluation_scores`, with the score's 95% interval."""
    low, high = normal_interval(score.value, score.stderr)
    return asdict(score) | {"ci_low": low, "ci_high": high}


def differences(scores: Sequence[Score]) -> list[Score]:
    """The paired differences lora_uniform minus lora."""
    return [score for score in scores if score.model == LORA_UNIFORM and score.metric.endswith(AGAINST_LORA)]
