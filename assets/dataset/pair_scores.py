"""Scores of pairs: can the instruction be answered, and does the answer do what it asks? Off by default."""

from dataclasses import asdict

import dagster as dg

from assets.columns import PAIR_SCORES, table_columns
from assets.dataset.config import PairScoresConfig
from assets.materialize import DATASET_FIRST, OWNERS, materialization
from assets.partitions import GENERATIONS
from assets.pools import LANGUAGE_MODELS
from assets.preflight import judge_faults, preflight_of
from resources.language_models.roles import LanguageModels
from resources.language_models.side_by_side import working
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.pair_settings import JUDGE, NOBODY
from teams_dagster.dataset.scoring import (
    SCORES,
    pairs_of,
    rating_queries,
    rating_worker,
    score_facts,
    scores_inputs,
    write_judged_scores,
    write_programs_scores,
)
from teams_dagster.environment.recording import content_of
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.ordered import AHEAD
from teams_dagster.report.preview_dataset import scores_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import PairScoreFacts


@dg.asset(
    group_name="dataset",
    deps=["expert_responses"],
    partitions_def=GENERATIONS,
    kinds={"openai", "parquet"},
    owners=OWNERS,
    op_tags=DATASET_FIRST,
    metadata=table_columns("pair_scores", PAIR_SCORES),
    code_version="1",
    pool=LANGUAGE_MODELS,
    description="What the judge and programs say of each pair: is the instruction answerable, does the answer do what"
    " it asks, does it keep the constraints that can be checked? Off by default (`scored_by: nobody`): no score, no"
    " query.",
)
def pair_scores(
    context: dg.AssetExecutionContext,
    config: PairScoresConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Score every pair of the generation in the partition of `context` that no rule refused."""
    partition, log = context.partition_key, context.log.info
    scored_by = config.scorer(store, partition)
    responses = store.current("expert_responses", partition)
    judged = scored_by == JUDGE
    if judged:
        models.found_out(Role.JUDGE)
    inputs = scores_inputs(responses, scored_by, models.versions(Role.JUDGE) if judged else {})
    publish = models.publish if judged else None
    settings = {"scored_by": scored_by}
    with materialization(context, store, config=config, settings=settings, inputs=inputs, publish=publish) as made:
        if made.draft is not None:
            where, judge, faults = CallContext(context.run.run_id, SCORES, partition), None, list[str]()
            if judged:
                made.preflight = preflight_of(context, models, Role.JUDGE, ratings=True)
                judge, faults = asdict(models.identities(Role.JUDGE)[Role.JUDGE]), judge_faults(models)
                expected = rating_queries(store, responses, made.output.earlier(store), models.versions(Role.JUDGE))
                width = models.at_once(Role.JUDGE, direct=AHEAD * models.settings().max_in_flight)
                judging = working(
                    models, rating_worker, None, where, Role.JUDGE, expected=expected, width=width, log=log
                )
                write_judged_scores(made.folder, where.run_id, responses, judging, width=width, log=log)
            else:
                pairs = pairs_of(responses) if scored_by != NOBODY else ()
                write_programs_scores(made.folder, where.run_id, pairs)
            facts = score_facts(made.folder, scored_by, responses, judge, models.outcomes(where) if judged else {})
            content = content_of(made.folder / f"{SCORES}.parquet")
            made.finish(content, facts.model_copy(update={"gate_faults": faults}))
    return made.result(PairScoreFacts, scores_preview)
