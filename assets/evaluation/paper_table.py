"""Asset `paper_table`: the paper's table with ours beside it, from what every stage recorded."""

from dataclasses import asdict

import dagster as dg

from assets.columns import table_columns
from assets.materialize import OWNERS, AssetConfig, materialization
from teams_dagster.core.hashing import content_hash
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.evaluation.paper import paper_table as with_the_papers
from teams_dagster.evaluation.paper_values import our_values, token_trainings, uniform_arm
from teams_dagster.evaluation.stored import PAPER_TABLE
from teams_dagster.report.preview_evaluation import paper_table_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.evaluation import PaperTableFacts
from teams_dagster.store.tables import write_table

READ = (TRAINED_ARM.dataset, "evaluation_scores", "judged_win_rate", "privacy_audit")
"""The assets that the table always reads."""


@dg.asset(
    group_name="evaluation",
    deps=[
        "instruction_dataset",
        "evaluation_scores",
        "judged_win_rate",
        "privacy_audit",
        "uniform_scores",
        "rlgf_scores",
    ],
    kinds={"parquet"},
    owners=OWNERS,
    metadata=table_columns(PAPER_TABLE),
    code_version="2",
    description="What is known of the paper's numbers, each with its source and its doubt, and beside it training set,"
    " queries, cost, scores and membership inference of the base, the adapters and, where they were made, the"
    " uniform arm and what each token-level algorithm made of the adapter.",
)
def paper_table(
    context: dg.AssetExecutionContext, config: AssetConfig, store: dg.ResourceParam[ArtefactStore]
) -> dg.MaterializeResult:
    """Read what is stored; ask and train nothing."""
    read = {key: store.current(key) for key in READ}
    arm, note = uniform_arm(store, read["evaluation_scores"])
    read |= arm | token_trainings(store, read["evaluation_scores"])
    if note:
        context.log.info(note)
    inputs = {key: artefact.data_version for key, artefact in read.items()} | ({"uniform arm": note} if note else {})
    with materialization(context, store, config=config, inputs=inputs) as made:
        if made.draft is not None:
            rows = [asdict(value) for value in with_the_papers(our_values(store, read))]
            write_table(made.folder, PAPER_TABLE, (row | {"run_id": context.run.run_id} for row in rows))
            made.finish(content_hash(PAPER_TABLE, rows, note), PaperTableFacts(values=len(rows), note=note))
    return made.result(PaperTableFacts, paper_table_preview)
