"""Scores of the uniform arm's adapter: what the trained policy is worth to the student."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from assets.columns import UNIFORM_SCORES, table_columns
from assets.dataset import instruction_dataset
from assets.evaluation.config import ScoresConfig
from assets.making import make_or_reuse
from assets.materialize import OWNERS, to_metadata
from assets.models.adapters import lora_model
from assets.models.base_model import base_model
from assets.uniform_arm.adapter import lora_uniform
from assets.uniform_arm.dataset import uniform_dataset
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.markdown import markdown_table
from teams_dagster.dataset.arms import ARMS, UNIFORM_ARM
from teams_dagster.dataset.export import examples_in
from teams_dagster.dataset.stored import dataset_file, read_examples, read_steps
from teams_dagster.evaluation.harness.run import run_benchmarks
from teams_dagster.evaluation.scores import AGAINST_LORA, OWN_SIDE, ModelVersions, Score
from teams_dagster.evaluation.statistics import normal_interval
from teams_dagster.evaluation.stored import PRIVACY, read_evaluation_scores, read_privacy
from teams_dagster.report.preview_evaluation import benchmarks_preview, membership_table
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft
from teams_dagster.store.tables import write_table
from teams_dagster.student.request import MODEL
from teams_dagster.student.stored import student_path

MODELS = {"base": "base_model", "lora": "lora_model", "lora_uniform": "lora_uniform"}
"""The compared models, and the assets that hold them."""

PAIR = ("lora", "lora_uniform")


@dg.asset(
    group_name="uniform_arm",
    deps=[base_model, lora_model, lora_uniform, instruction_dataset, uniform_dataset],
    kinds={"huggingface"},
    owners=OWNERS,
    metadata=table_columns("evaluation_scores", UNIFORM_SCORES),
    code_version="1",
    description="Base, lora and lora_uniform on the held-out side of either arm's dataset, each side a task of its own:"
    " the paired difference lora_uniform minus lora with its interval, benchmarks, and membership inference.",
)
def uniform_scores(
    context: dg.AssetExecutionContext, config: ScoresConfig, store: dg.ResourceParam[ArtefactStore]
) -> dg.MaterializeResult:
    """Score the arm's adapter beside base and lora. Scores that `evaluation_scores` has are not written again."""
    models = {name: store.current(key) for name, key in MODELS.items()}
    datasets = {arm.dataset: store.current(arm.dataset) for arm in ARMS}
    plan = config.plan()

    def make(draft: Draft) -> None:
        scores = _scores(context, config, store, models, datasets, draft.folder)
        results = _audited(context, config, models, datasets[UNIFORM_ARM.dataset])
        (draft.folder / PRIVACY).write_text(json.dumps(results, indent=1), encoding="utf-8")
        rows = [_row(score) for score in scores]
        write_table(draft.folder, "evaluation_scores", (row | {"run_id": context.run.run_id} for row in rows))
        draft.finish(content_hash("uniform_scores", rows, results), {"scores": len(rows)})

    inputs = {MODELS[name]: model.data_version for name, model in models.items()}
    inputs |= {key: dataset.data_version for key, dataset in datasets.items()}
    if plan.files:
        inputs["benchmark_files"] = plan.files_version
    return make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show)


def _scores(
    context: dg.AssetExecutionContext,
    config: ScoresConfig,
    store: ArtefactStore,
    models: dict[str, Artefact],
    datasets: dict[str, Artefact],
    folder: Path,
) -> list[Score]:
    """Of the main line's held-out side and the benchmarks those of `lora_uniform`; of the arm's own side all."""
    from teams_dagster.evaluation.comparison import evaluate_models
    from teams_dagster.student.loading import load_adapter

    base, plan = student_path(models["base"]), config.plan()
    adapters = {name: models[name].path(MODEL) for name in PAIR}
    scores: list[Score] = []
    for key, dataset in datasets.items():
        versions = ModelVersions({name: model.data_version for name, model in models.items()}, dataset.data_version)
        found = evaluate_models(
            base,
            adapters,
            examples_in(dataset_file(dataset, "train")),
            read_examples(dataset, "held_out"),
            versions,
            seed=config.seed,
            progress=context.log.info,
        )
        if key == UNIFORM_ARM.dataset:
            scores += [replace(score, task=score.task + OWN_SIDE) for score in found.scores]
            continue
        scores += [score for score in found.scores if score.model == "lora_uniform"]
        if plan.names:
            students = {"lora_uniform": partial(load_adapter, base, adapters["lora_uniform"])}
            scores += run_benchmarks(
                plan, students, versions, found.questions, folder, store, seed=config.seed, progress=context.log.info
            )
    return scores


def _audited(
    context: dg.AssetExecutionContext, config: ScoresConfig, models: dict[str, Artefact], dataset: Artefact
) -> list[dict[str, Any]]:
    """Membership inference of `lora_uniform` against the examples that it was trained on."""
    from teams_dagster.evaluation.membership.audit import audit_privacy

    audit = audit_privacy(
        student_path(models["base"]),
        {"lora_uniform": models["lora_uniform"].path(MODEL)},
        read_examples(dataset, "train"),
        read_examples(dataset, "held_out"),
        read_steps(dataset),
        seed=config.seed,
        progress=context.log.info,
    )
    return [asdict(result) for result in audit.results]


def _row(score: Score) -> dict[str, Any]:
    low, high = normal_interval(score.value, score.stderr)
    return asdict(score) | {"ci_low": low, "ci_high": high}


def differences(scores: Sequence[Score]) -> list[Score]:
    """The paired differences lora_uniform minus lora."""
    return [score for score in scores if score.model == "lora_uniform" and score.metric.endswith(AGAINST_LORA)]


def _show(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    scores, privacy = read_evaluation_scores(artefact), read_privacy(artefact)
    table = [(s.model, s.task, s.metric, f"{s.value:.4f}", _interval(s), s.n) for s in scores]
    header = ("model", "task", "metric", "value", "95% interval", "seeds")
    paired = [row for row in table if row[2].endswith(AGAINST_LORA)]
    return {
        **{f"{score.task}_{score.metric}": score.value for score in differences(scores)},
        "differences": dg.MetadataValue.md(markdown_table(header, paired)),
        "scores": dg.MetadataValue.md(markdown_table(header, table)),
        **to_metadata({"membership": membership_table(privacy), **benchmarks_preview(artefact)}),
    }


def _interval(score: Score) -> str:
    low, high = normal_interval(score.value, score.stderr)
    return "-" if low is None else f"{low:+.4f} to {high:+.4f}"
