"""Asset `evaluation_scores`: every model on held-out instructions, and on the benchmarks that a run names."""

from dataclasses import asdict

import dagster as dg

from assets.columns import EVALUATION_SCORES, table_columns
from assets.evaluation.config import ScoresConfig
from assets.freshness import freshness
from assets.materialize import OWNERS, materialization
from assets.pools import GPU, ON_GPU
from teams_dagster.core.hashing import content_hash
from teams_dagster.dataset.export import examples_in
from teams_dagster.dataset.stored import dataset_file, read_examples
from teams_dagster.evaluation.harness.run import run_benchmarks
from teams_dagster.evaluation.scores import ModelVersions
from teams_dagster.evaluation.stored import evaluated_models, evaluated_versions
from teams_dagster.report.preview_evaluation import scores_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import DatasetFacts
from teams_dagster.store.facts.evaluation import ScoresFacts
from teams_dagster.store.tables import write_table
from teams_dagster.student.stored import adapter_folders, student_loaders, student_path


@dg.asset(
    group_name="evaluation",
    deps=["base_model", "lora_model", "qlora_model", "instruction_dataset"],
    kinds={"huggingface"},
    owners=OWNERS,
    metadata=table_columns("evaluation_scores", EVALUATION_SCORES),
    freshness_policy=freshness(),
    code_version="2",
    op_tags=ON_GPU,
    pool=GPU,
    description="Held-out loss per response token and 4-way response choice of the base and each adapter, with standard"
    " errors clustered by seed and paired differences; the benchmarks of lm-evaluation-harness that the run names.",
)
def evaluation_scores(
    context: dg.AssetExecutionContext, config: ScoresConfig, store: dg.ResourceParam[ArtefactStore]
) -> dg.MaterializeResult:
    """Score every model on the held-out side of the dataset, and on the benchmarks asked for."""
    models, dataset, plan = evaluated_models(store), store.current("instruction_dataset"), config.plan()
    inputs = evaluated_versions(models, dataset)
    if plan.files:
        inputs["benchmark_files"] = plan.files_version
    with materialization(context, store, config=config, inputs=inputs) as made:
        if made.draft is not None:
            from teams_dagster.evaluation.comparison import evaluate_models

            versions = ModelVersions({name: m.data_version for name, m in models.items()}, dataset.data_version)
            evaluation = evaluate_models(
                student_path(models["base"]),
                adapter_folders(models),
                examples_in(dataset_file(dataset, "train")),
                read_examples(dataset, "held_out"),
                versions,
                seed=config.seed,
                progress=context.log.info,
            )
            scores = list(evaluation.scores)
            if plan.names:
                scores += run_benchmarks(
                    plan,
                    student_loaders(models),
                    versions,
                    evaluation.questions,
                    made.folder,
                    store,
                    seed=config.seed,
                    progress=context.log.info,
                )
            rows = [asdict(score) for score in scores]
            write_table(made.folder, "evaluation_scores", (row | {"run_id": context.run.run_id} for row in rows))
            facts = ScoresFacts(
                questions=len(evaluation.questions),
                too_long=len(evaluation.too_long),
                overlap=dataset.read_facts(DatasetFacts).overlap,
            )
            made.finish(content_hash("evaluation_scores", rows), facts)
    return made.result(ScoresFacts, scores_preview)
