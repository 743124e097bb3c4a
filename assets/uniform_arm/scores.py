"""Scores of the uniform arm's adapter: what the trained policy is worth to the student."""

import json
from functools import partial

import dagster as dg

from assets.columns import UNIFORM_SCORES, table_columns
from assets.evaluation.config import ScoresConfig
from assets.materialize import OWNERS, materialization
from assets.pools import GPU, ON_GPU
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.metadata import Details
from teams_dagster.dataset.arms import TRAINED_ARM, UNIFORM_ARM
from teams_dagster.evaluation.harness.run import run_benchmarks
from teams_dagster.evaluation.membership.adapter import audit_adapter
from teams_dagster.evaluation.stored import PRIVACY, read_evaluation_scores, read_privacy
from teams_dagster.evaluation.uniform_arm import (
    BASE,
    LORA_UNIFORM,
    MODELS,
    arm_scores,
    compared_datasets,
    compared_models,
    evaluate_on,
    score_row,
    versions_of,
)
from teams_dagster.report.preview_evaluation import benchmarks_preview, membership_table, uniform_scores_preview
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.evaluation import UniformScoreFacts
from teams_dagster.store.tables import write_table
from teams_dagster.student.adapter_config import MODEL
from teams_dagster.student.stored import student_path


@dg.asset(
    group_name="uniform_arm",
    deps=["base_model", "lora_model", "lora_uniform", "instruction_dataset", "uniform_dataset"],
    kinds={"huggingface"},
    owners=OWNERS,
    metadata=table_columns("evaluation_scores", UNIFORM_SCORES),
    code_version="1",
    op_tags=ON_GPU,
    pool=GPU,
    description="Base, lora and lora_uniform on the held-out side of either arm's dataset, each side a task of its own:"
    " the paired difference lora_uniform minus lora with its interval, benchmarks, and membership inference.",
)
def uniform_scores(
    context: dg.AssetExecutionContext, config: ScoresConfig, store: dg.ResourceParam[ArtefactStore]
) -> dg.MaterializeResult:
    """Score the arm's adapter beside base and lora. Scores that `evaluation_scores` has are not written again."""
    models, datasets, plan = compared_models(store), compared_datasets(store), config.plan()
    inputs = {MODELS[name]: model.data_version for name, model in models.items()}
    inputs |= {key: dataset.data_version for key, dataset in datasets.items()}
    if plan.files:
        inputs["benchmark_files"] = plan.files_version
    with materialization(context, store, config=config, inputs=inputs) as made:
        if made.draft is not None:
            evaluate = partial(evaluate_on, models, seed=config.seed, progress=context.log.info)
            main, own = datasets[TRAINED_ARM.dataset], datasets[UNIFORM_ARM.dataset]
            evaluation = evaluate(main)
            benchmarks = []
            if plan.names:
                from teams_dagster.student.loading import load_adapter

                adapter = partial(load_adapter, student_path(models[BASE]), models[LORA_UNIFORM].path(MODEL))
                benchmarks = run_benchmarks(
                    plan,
                    {LORA_UNIFORM: adapter},
                    versions_of(models, main),
                    evaluation.questions,
                    made.folder,
                    store,
                    seed=config.seed,
                    progress=context.log.info,
                )
            rows = [score_row(score) for score in arm_scores(evaluation.scores, benchmarks, evaluate(own).scores)]
            results = audit_adapter(models, LORA_UNIFORM, own, seed=config.seed, progress=context.log.info)
            (made.folder / PRIVACY).write_text(json.dumps(results, indent=1), encoding="utf-8")
            write_table(made.folder, "evaluation_scores", (row | {"run_id": context.run.run_id} for row in rows))
            made.finish(content_hash("uniform_scores", rows, results), UniformScoreFacts(scores=len(rows)))
    return made.result(UniformScoreFacts, _preview)


def _preview(artefact: Artefact) -> Details:
    return {
        **uniform_scores_preview(read_evaluation_scores(artefact)),
        "membership": membership_table(read_privacy(artefact)),
        **benchmarks_preview(artefact),
    }
