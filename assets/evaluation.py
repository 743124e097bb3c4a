"""Evaluation: base against each adapter, on instructions of seeds that no adapter was trained on."""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow.parquet as pq
from pydantic import Field

from assets.columns import EVALUATION_SCORES, table_columns
from assets.dataset import instruction_dataset, read_examples
from assets.making import OWNERS, AssetConfig, make_or_reuse
from assets.models import MODEL, base_model, lora_model, qlora_model, student_path
from resources.stores import Artefact, ArtefactStore, Draft
from teams_dagster.evaluation.harness.benchmarks import HELD_OUT, BenchmarkPlan
from teams_dagster.evaluation.privacy import MembershipScore, RocPoint
from teams_dagster.evaluation.scores import ModelVersions, Score
from teams_dagster.ledger.tables import write_table
from teams_dagster.report.markdown import as_markdown_image, markdown_table
from teams_dagster.streams import content_hash

if TYPE_CHECKING:
    from teams_dagster.evaluation.comparison import Evaluation
    from teams_dagster.student.loading import Student

ADAPTERS = ("lora", "qlora")
PRIVACY = "privacy.json"
BENCHMARKS, HELD_OUT_FILE = "benchmarks.json", "held_out.jsonl"
KEPT_SCORES = "benchmarks"
"""The folder of the data folder that keeps benchmark scores by model and task, for every later evaluation."""
PLOTTED = ("heldout_loss", "choice_accuracy", "choice_accuracy_calibrated")


class EvaluationConfig(AssetConfig):
    """How models are scored."""

    seed: int = Field(default=0, description="Root of the random streams that draw questions and samples.")


class ScoresConfig(EvaluationConfig):
    """How models are scored, and on which benchmarks beside the dataset's held-out side."""

    benchmarks: list[str] = Field(
        default=[],
        description="What lm-evaluation-harness asks each model: arc, hellaswag, mmlu, truthfulqa, gsm8k (with the"
        " shots of the Open LLM Leaderboard), held_out_choice, held_out_answer, or any of its own tasks by name.",
    )
    benchmark_files: dict[str, str] = Field(
        default={},
        description="By benchmark, the absolute path of its questions in JSON lines, where not the hub's are asked.",
    )
    benchmark_shot_files: dict[str, str] = Field(
        default={},
        description="By benchmark, the absolute path of the examples shown before each question; without, they are"
        " other questions of its file.",
    )
    benchmark_limit: int = Field(default=0, ge=0, description="Questions of each benchmark task at most; 0 for all.")
    benchmark_batch_size: int = Field(default=0, ge=0, description="Questions at once; 0: found automatically.")

    def plan(self) -> BenchmarkPlan:
        """What the harness is to run. Raises BenchmarkError."""
        return BenchmarkPlan(
            names=tuple(self.benchmarks),
            files={name: Path(path) for name, path in self.benchmark_files.items()},
            shot_files={name: Path(path) for name, path in self.benchmark_shot_files.items()},
            limit=self.benchmark_limit or None,
            batch_size=self.benchmark_batch_size or None,
        )


@dg.asset(
    group_name="evaluation",
    deps=[base_model, lora_model, qlora_model, instruction_dataset],
    kinds={"huggingface"},
    owners=OWNERS,
    metadata=table_columns("evaluation_scores", EVALUATION_SCORES),
    code_version="1",
    description="Held-out loss per response token and 4-way response choice of the base and each adapter, with standard"
    " errors clustered by seed and paired differences; the benchmarks of lm-evaluation-harness that the run names.",
)
def evaluation_scores(
    context: dg.AssetExecutionContext, config: ScoresConfig, store: ArtefactStore
) -> dg.MaterializeResult:
    """Score every model on the held-out side of the dataset, and on the benchmarks asked for."""
    models, dataset, plan = _models(store), store.current("instruction_dataset"), config.plan()
    versions = ModelVersions({name: model.data_version for name, model in models.items()}, dataset.data_version)

    def make(draft: Draft) -> None:
        from teams_dagster.evaluation.comparison import evaluate_models

        evaluation = evaluate_models(
            student_path(models["base"]),
            _adapter_folders(models),
            read_examples(dataset, "held_out"),
            versions,
            seed=config.seed,
            progress=context.log.info,
        )
        benchmarks = _run_benchmarks(context, config, store, versions, evaluation, draft) if plan.names else []
        rows = [asdict(score) for score in (*evaluation.scores, *benchmarks)]
        write_table(draft.folder, "evaluation_scores", (row | {"run_id": context.run.run_id} for row in rows))
        draft.finish(
            content_hash("evaluation_scores", rows),
            {"questions": len(evaluation.questions), "too_long": len(evaluation.too_long)},
        )

    inputs = _versions(models, dataset)
    if plan.files:
        inputs["benchmark_files"] = plan.files_version
    return make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show_scores)


def _run_benchmarks(
    context: dg.AssetExecutionContext,
    config: ScoresConfig,
    store: ArtefactStore,
    versions: ModelVersions,
    evaluation: "Evaluation",
    draft: Draft,
) -> list[Score]:
    """The rows of the benchmarks; what each rests on is written beside them."""
    from teams_dagster.evaluation.harness.held_out import write_held_out
    from teams_dagster.evaluation.harness.scores import benchmark_models, benchmark_scores

    plan, held_out = config.plan(), draft.folder / HELD_OUT_FILE
    if plan.needs_held_out:
        write_held_out(evaluation.questions, held_out, seed=config.seed)
    results = benchmark_models(
        plan,
        _students(_models(store)),
        versions,
        held_out=held_out if plan.needs_held_out else None,
        cache=store.root / KEPT_SCORES,
        progress=context.log.info,
    )
    told = json.dumps([asdict(result) for result in results], indent=1)
    (draft.folder / BENCHMARKS).write_text(told, encoding="utf-8")
    return benchmark_scores(results, tuple(HELD_OUT), versions.dataset)


def _students(models: dict[str, Artefact]) -> "dict[str, Callable[[], Student]]":
    from teams_dagster.student.loading import load_adapter, load_student

    base = student_path(models["base"])
    adapters = {name: partial(load_adapter, base, folder) for name, folder in _adapter_folders(models).items()}
    return {"base": partial(load_student, base), **adapters}


def read_evaluation_scores(artefact: Artefact) -> list[Score]:
    """The scores in an `evaluation_scores` artefact."""
    rows = pq.read_table(artefact.path("evaluation_scores.parquet")).to_pylist()
    return [Score(**{name: row[name] for name in Score.__dataclass_fields__}) for row in rows]


def _models(store: ArtefactStore) -> dict[str, Artefact]:
    return {name: store.current(f"{name}_model") for name in ("base", *ADAPTERS)}


def _adapter_folders(models: dict[str, Artefact]) -> dict[str, Path]:
    return {name: models[name].path(MODEL) for name in ADAPTERS}


def _versions(models: dict[str, Artefact], dataset: Artefact) -> dict[str, str]:
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
    return shown | _show_benchmarks(artefact)


def read_benchmarks(artefact: Artefact) -> list[dict[str, Any]]:
    """What each benchmark score of an `evaluation_scores` artefact rests on; empty where none was asked for."""
    path = artefact.folder / BENCHMARKS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def _show_benchmarks(artefact: Artefact) -> dict[str, dg.MetadataValue]:
    results = read_benchmarks(artefact)
    if not results:
        return {}
    rows = [
        (
            r["model"],
            r["benchmark"],
            ", ".join(sorted({str(shots) for shots in r["record"]["shots"].values()})),
            r["record"]["shots_from"],
            r["record"]["harness_version"],
            r["task_hash"],
            r["cut_off"],
            "cached" if r["cached"] else "asked",
        )
        for r in results
    ]
    header = ("model", "benchmark", "shots", "from", "harness", "task hash", "prompts cut off", "")
    return {"benchmarks": dg.MetadataValue.md(markdown_table(header, rows))}


@dg.asset(
    group_name="evaluation",
    deps=[base_model, lora_model, qlora_model, instruction_dataset],
    kinds={"huggingface"},
    owners=OWNERS,
    code_version="1",
    description="Membership inference by loss: can one tell the adapters' training samples from held-out ones?"
    " The base's own AUC is the control.",
)
def privacy_audit(
    context: dg.AssetExecutionContext, config: EvaluationConfig, store: ArtefactStore
) -> dg.MaterializeResult:
    """Attack the base and each adapter."""
    models, dataset = _models(store), store.current("instruction_dataset")

    def make(draft: Draft) -> None:
        from teams_dagster.evaluation.comparison import audit_privacy

        audit = audit_privacy(
            student_path(models["base"]),
            _adapter_folders(models),
            read_examples(dataset, "train"),
            read_examples(dataset, "held_out"),
            seed=config.seed,
            progress=context.log.info,
        )
        results = [asdict(result) for result in audit.results]
        (draft.folder / PRIVACY).write_text(json.dumps(results, indent=1), encoding="utf-8")
        draft.finish(
            content_hash("privacy_audit", results),
            {"too_long": len(audit.too_long), "too_small_to_tell": any(r.too_small_to_tell for r in audit.results)},
        )

    return make_or_reuse(
        context, store, config=config, inputs=_versions(models, dataset), make=make, show=_show_privacy
    )


def read_privacy(artefact: Artefact) -> list[MembershipScore]:
    """The results of a `privacy_audit` artefact, one per model."""
    rows = json.loads(artefact.path(PRIVACY).read_text(encoding="utf-8"))
    return [MembershipScore(**{**row, "roc": tuple(RocPoint(**point) for point in row["roc"])}) for row in rows]


def _show_privacy(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    from teams_dagster.report import pictures

    results = read_privacy(artefact)
    table = [
        (
            r.model,
            f"{r.auc:.3f}",
            f"{r.ci_low:.3f} to {r.ci_high:.3f}",
            f"{r.auc_minus_base:+.3f}",
            f"{r.minus_base_low:+.3f} to {r.minus_base_high:+.3f}",
            "too small to tell" if r.too_small_to_tell else "",
        )
        for r in results
    ]
    header = ("model", "AUC", "95% interval", "minus base", "95% interval", "")
    return {
        **{f"{r.model}_auc": r.auc for r in results},
        "roc": dg.MetadataValue.md(as_markdown_image(pictures.privacy_roc(results), "ROC of membership inference")),
        "results": dg.MetadataValue.md(markdown_table(header, table)),
        "members": results[0].members,
        "non_members": results[0].non_members,
    }
