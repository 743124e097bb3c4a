"""Evaluation: base against each adapter, on instructions of seeds that no adapter was trained on."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from assets.benchmarks import BenchmarkSettings, run_benchmarks, show_benchmarks
from assets.columns import EVALUATION_SCORES, table_columns
from assets.dataset.instruction_dataset import instruction_dataset
from assets.making import make_or_reuse
from assets.materialize import OWNERS, AssetConfig
from assets.models import MODEL, base_model, lora_model, qlora_model
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.markdown import as_markdown_image, markdown_table
from teams_dagster.dataset.export import examples_in
from teams_dagster.dataset.stored import dataset_file, read_examples, read_steps
from teams_dagster.evaluation.privacy import LOSS, MembershipScore
from teams_dagster.evaluation.scores import ModelVersions, Score
from teams_dagster.evaluation.stored import PRIVACY, _membership, read_evaluation_scores, read_privacy
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft
from teams_dagster.store.tables import write_table
from teams_dagster.student.stored import ADAPTERS, student_path

if TYPE_CHECKING:
    from teams_dagster.student.loading import Student

CANARIES = "canaries.json"
PLOTTED = ("heldout_loss", "choice_accuracy", "choice_accuracy_calibrated")


class EvaluationConfig(AssetConfig):
    """How models are scored."""

    seed: int = Field(default=0, description="Root of the random streams that draw questions and samples.")


class PrivacyConfig(EvaluationConfig):
    """How models are attacked, and whether an adapter is trained on made-up secrets to see what it gives away."""

    canaries: int = Field(
        default=0,
        ge=0,
        description="Made-up secrets shown to an adapter that is trained for this audit alone and thrown away; they"
        " enter no dataset and no model that is kept. 0: none.",
    )
    canary_times: int = Field(default=4, ge=1, description="How often that adapter's training meets each secret.")


class ScoresConfig(EvaluationConfig, BenchmarkSettings):
    """How models are scored, and on which benchmarks beside the dataset's held-out side."""


@dg.asset(
    group_name="evaluation",
    deps=[base_model, lora_model, qlora_model, instruction_dataset],
    kinds={"huggingface"},
    owners=OWNERS,
    metadata=table_columns("evaluation_scores", EVALUATION_SCORES),
    code_version="2",
    description="Held-out loss per response token and 4-way response choice of the base and each adapter, with standard"
    " errors clustered by seed and paired differences; the benchmarks of lm-evaluation-harness that the run names.",
)
def evaluation_scores(
    context: dg.AssetExecutionContext, config: ScoresConfig, store: dg.ResourceParam[ArtefactStore]
) -> dg.MaterializeResult:
    """Score every model on the held-out side of the dataset, and on the benchmarks asked for."""
    models, dataset, plan = evaluated_models(store), store.current("instruction_dataset"), config.plan()
    versions = ModelVersions({name: model.data_version for name, model in models.items()}, dataset.data_version)

    def make(draft: Draft) -> None:
        from teams_dagster.evaluation.comparison import evaluate_models

        evaluation = evaluate_models(
            student_path(models["base"]),
            _adapter_folders(models),
            examples_in(dataset_file(dataset, "train")),
            read_examples(dataset, "held_out"),
            versions,
            seed=config.seed,
            progress=context.log.info,
        )
        benchmarks: list[Score] = []
        if plan.names:
            benchmarks = run_benchmarks(
                plan,
                _students(models),
                versions,
                evaluation.questions,
                draft.folder,
                store,
                seed=config.seed,
                progress=context.log.info,
            )
        rows = [asdict(score) for score in (*evaluation.scores, *benchmarks)]
        write_table(draft.folder, "evaluation_scores", (row | {"run_id": context.run.run_id} for row in rows))
        draft.finish(
            content_hash("evaluation_scores", rows),
            {"questions": len(evaluation.questions), "too_long": len(evaluation.too_long)},
        )

    inputs = evaluated_versions(models, dataset)
    if plan.files:
        inputs["benchmark_files"] = plan.files_version
    return make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show_scores)


def _students(models: dict[str, Artefact]) -> "dict[str, Callable[[], Student]]":
    from teams_dagster.student.loading import load_adapter, load_student

    base = student_path(models["base"])
    adapters = {name: partial(load_adapter, base, folder) for name, folder in _adapter_folders(models).items()}
    return {"base": partial(load_student, base), **adapters}


def evaluated_models(store: ArtefactStore) -> dict[str, Artefact]:
    """The base and its adapters, by name. Raises ArtefactMissing."""
    return {name: store.current(f"{name}_model") for name in ("base", *ADAPTERS)}


def _adapter_folders(models: dict[str, Artefact]) -> dict[str, Path]:
    return {name: models[name].path(MODEL) for name in ADAPTERS}


def evaluated_versions(models: Mapping[str, Artefact], dataset: Artefact) -> dict[str, str]:
    """What an evaluation is made from: by asset key, the version of each model and of the dataset."""
    return {
        **{f"{name}_model": model.data_version for name, model in models.items()},
        "instruction_dataset": dataset.data_version,
    }


def _show_scores(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float]:
    from teams_dagster.report import pictures

    scores = read_evaluation_scores(artefact)
    table = [
        (s.model, s.task, s.metric, f"{s.value:.4f}", "-" if s.stderr is None else f"{s.stderr:.4f}", s.n)
        for s in scores
    ]
    plotted = {
        f"{score.model}_{score.metric}": score.value
        for score in scores
        if score.model in ("base", *ADAPTERS) and score.metric in PLOTTED
    }
    shown = {
        **plotted,
        "picture": dg.MetadataValue.md(as_markdown_image(pictures.evaluation_scores(scores), "Scores")),
        "scores": dg.MetadataValue.md(markdown_table(("model", "task", "metric", "value", "stderr", "seeds"), table)),
        "too_long": artefact.facts["too_long"],
    }
    return shown | show_benchmarks(artefact)


@dg.asset(
    group_name="evaluation",
    deps=[base_model, lora_model, qlora_model, instruction_dataset],
    kinds={"huggingface"},
    owners=OWNERS,
    code_version="2",
    description="Membership inference by loss, by Min-K%++ and calibrated by the base: can one tell the adapters'"
    " training samples from held-out ones of like length and step? The base's own AUC is the control.",
)
def privacy_audit(
    context: dg.AssetExecutionContext, config: PrivacyConfig, store: dg.ResourceParam[ArtefactStore]
) -> dg.MaterializeResult:
    """Attack the base and each adapter; with canaries, an adapter that is trained for that and thrown away."""
    models, dataset = evaluated_models(store), store.current("instruction_dataset")

    def make(draft: Draft) -> None:
        from teams_dagster.evaluation.membership.audit import audit_privacy

        audit = audit_privacy(
            student_path(models["base"]),
            _adapter_folders(models),
            read_examples(dataset, "train"),
            read_examples(dataset, "held_out"),
            read_steps(dataset),
            seed=config.seed,
            progress=context.log.info,
        )
        results = [asdict(result) for result in audit.results]
        (draft.folder / PRIVACY).write_text(json.dumps(results, indent=1), encoding="utf-8")
        canaries = _audit_canaries(context, config, models["base"], dataset) if config.canaries else {}
        if canaries:
            (draft.folder / CANARIES).write_text(json.dumps(canaries, indent=1), encoding="utf-8")
        draft.finish(
            content_hash("privacy_audit", results, canaries),
            {"too_long": len(audit.too_long), "too_small_to_tell": any(r.too_small_to_tell for r in audit.results)},
        )

    return make_or_reuse(
        context, store, config=config, inputs=evaluated_versions(models, dataset), make=make, show=_show_privacy
    )


def _audit_canaries(
    context: dg.AssetExecutionContext, config: PrivacyConfig, base: Artefact, dataset: Artefact
) -> dict[str, Any]:
    from teams_dagster.evaluation.membership.canaries import audit_canaries
    from teams_dagster.student.adapter_config import AdapterConfig, embedded_adapter_config

    settings = embedded_adapter_config("lora") if base.facts["embedded"] else AdapterConfig(kind="lora")
    audit = audit_canaries(
        student_path(base),
        read_examples(dataset, "train"),
        settings,
        canaries=config.canaries,
        times=config.canary_times,
        seed=config.seed,
        progress=context.log.info,
    )
    return asdict(audit)


def _show_privacy(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    from teams_dagster.report import pictures

    results = read_privacy(artefact)
    return {
        **{f"{r.model}_auc" if r.attack == LOSS else f"{r.model}_{r.attack}_auc": r.auc for r in results},
        "roc": dg.MetadataValue.md(as_markdown_image(pictures.privacy_roc(results), "ROC of membership inference")),
        "results": dg.MetadataValue.md(privacy_table(results)),
        "members": results[0].members,
        "non_members": results[0].non_members,
        **_show_canaries(artefact),
    }


def privacy_table(results: list[MembershipScore]) -> str:
    """One row per attack and model."""
    rates = [point.false_positive_rate for point in results[0].rates]
    rows = [
        (
            r.attack,
            r.model,
            f"{r.auc:.3f}",
            f"{r.ci_low:.3f} to {r.ci_high:.3f}",
            f"{r.auc_minus_base:+.3f}",
            f"{r.minus_base_low:+.3f} to {r.minus_base_high:+.3f}",
            *(f"{point.true_positive_rate:.3f}" for point in r.rates),
            "too small to tell" if r.too_small_to_tell else "",
        )
        for r in results
    ]
    found = tuple(f"found at {rate:.1%} false" for rate in rates)
    return markdown_table(("attack", "model", "AUC", "95% interval", "minus base", "95% interval", *found, ""), rows)


def _show_canaries(artefact: Artefact) -> dict[str, dg.MetadataValue | float]:
    path = artefact.folder / CANARIES
    if not path.is_file():
        return {}
    audit = json.loads(path.read_text(encoding="utf-8"))
    return {
        "canary_exposure": audit["exposure"],
        "canary_exposure_of_base": audit["base_exposure"],
        "canary_exposure_at_most": audit["most_exposure"],
        "canaries": dg.MetadataValue.md(privacy_table(_membership(audit["results"]))),
    }
