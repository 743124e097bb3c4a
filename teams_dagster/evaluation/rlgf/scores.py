"""The scores of what a token-level training made, beside those of the adapter it started from and of the base."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from teams_dagster.dataset.card import CARD, DataCard
from teams_dagster.dataset.export import examples_in
from teams_dagster.dataset.stored import dataset_file, read_examples
from teams_dagster.evaluation.scores import CHOICE, HELD_OUT, ModelVersions, Score
from teams_dagster.evaluation.statistics import normal_interval
from teams_dagster.evaluation.win_rate import WinRate
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.rlgf import RLGFFacts, StageScores
from teams_dagster.student.stored import adapter_folders, student_path

BASE, LORA, RLGF = "base", "lora", "rlgf"
PAIRS = ((RLGF, BASE), (RLGF, LORA), (LORA, BASE))
"""Whose answers the judge compares with whose."""
FINE_TUNING = "fine-tuning"


def compared_models(store: ArtefactStore) -> dict[str, Artefact]:
    """The current `rlgf_model` with the adapter and the base that it was made from, by name. Raises ArtefactMissing."""
    tuned = store.current("rlgf_model")
    made_from = tuned.manifest["inputs"]
    before = {name: store.of_version(f"{name}_model", made_from[f"{name}_model"]) for name in (BASE, LORA)}
    return {**before, RLGF: tuned}


def tuned_on(store: ArtefactStore, models: Mapping[str, Artefact]) -> Artefact:
    """The dataset that the adapter was trained on. Raises ArtefactMissing."""
    return store.of_version("instruction_dataset", models[LORA].manifest["inputs"]["instruction_dataset"])


def evaluate(
    models: Mapping[str, Artefact], dataset: Artefact, *, seed: int, progress: Callable[[str], None]
) -> tuple[Score, ...]:
    """Held-out loss and response choice of all three, differences paired."""
    from teams_dagster.evaluation.comparison import evaluate_models

    versions = ModelVersions({name: model.data_version for name, model in models.items()}, dataset.data_version)
    found = evaluate_models(
        student_path(models[BASE]),
        adapter_folders(models),
        examples_in(dataset_file(dataset, "train")),
        read_examples(dataset, "held_out"),
        versions,
        seed=seed,
        progress=progress,
    )
    return found.scores


def score_rows(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Rows of table `evaluation_scores` (all columns but `run_id`): those that `evaluation_scores` has not."""
    own = [score for score in scores if score.model == RLGF]
    bounds = [normal_interval(score.value, score.stderr) for score in own]
    return [asdict(s) | {"ci_low": low, "ci_high": high} for s, (low, high) in zip(own, bounds, strict=True)]


def stage_scores(
    models: Mapping[str, Artefact], dataset: Artefact, scores: Sequence[Score], rates: Sequence[WinRate]
) -> list[StageScores]:
    """The base, one fine-tuning, and what a token-level training made of that.

    Args:
        dataset: What the fine-tuning was trained on: its card knows what it took.
    """
    card = DataCard.from_json(dataset.path(CARD).read_text(encoding="utf-8"))
    tuned = models[RLGF].read_facts(RLGFFacts)
    costs = (card.cost_nano_usd, tuned.cost_nano_usd)
    total = None if None in costs else sum(cost for cost in costs if cost is not None)
    asked = card.queries + tuned.guide_queries + tuned.judge_queries
    spent: dict[str, tuple[str, int, int | None]] = {
        BASE: (BASE, 0, 0),
        LORA: (FINE_TUNING, card.queries, card.cost_nano_usd),
        RLGF: (f"{FINE_TUNING} + {tuned.algorithm}", asked, total),
    }
    known = {(score.model, score.task, score.metric): score.value for score in scores}
    won = {(rate.model, rate.against): rate.win_rate for rate in rates}
    return [
        StageScores(
            stage=stage,
            model_version=models[name].data_version,
            heldout_loss=known[name, HELD_OUT, "heldout_loss"],
            choice_accuracy=known[name, CHOICE, "choice_accuracy"],
            against_base=won.get((name, BASE)),
            against_lora=won.get((name, LORA)),
            queries=queries,
            cost_nano_usd=cost,
        )
        for name, (stage, queries, cost) in spent.items()
    ]
