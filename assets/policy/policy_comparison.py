"""The policy beside others, on seeds it was never trained on."""

from dataclasses import asdict

import dagster as dg

from assets.columns import POLICY_SCORES, table_columns
from assets.materialize import COMPARED_LAST, OWNERS, materialization
from assets.policy.config import ComparisonSettings
from assets.pools import LANGUAGE_MODELS
from assets.preflight import preflight_of, tried_episodes
from resources.language_models.roles import LanguageModels
from resources.language_models.side_by_side import sharing
from teams_dagster.core.protocol import Role
from teams_dagster.environment.recording import PARTS, merge_parts
from teams_dagster.instructions.prompts import write_prompts
from teams_dagster.llm import loop
from teams_dagster.llm.context import CallContext
from teams_dagster.policy.checkpoint import load_policy, policy_seeds, reference_of
from teams_dagster.policy.comparison.comparison_run import run_comparison
from teams_dagster.policy.comparison.forecast import comparison_asking, comparison_questions
from teams_dagster.policy.comparison.score_table import all_scores
from teams_dagster.policy.comparison.stored import comparison_facts, comparison_inputs, own_prompts, scores_version
from teams_dagster.policy.comparison.trainings import Trainings
from teams_dagster.report.preview_policy import comparison_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.policy import ComparisonFacts
from teams_dagster.store.tables import write_table


@dg.asset(
    group_name="policy",
    deps=["seed_instructions", "trained_policy"],
    kinds={"python", "parquet"},
    owners=OWNERS,
    op_tags=COMPARED_LAST,
    metadata=table_columns("policy_scores", POLICY_SCORES),
    code_version="4",
    pool=LANGUAGE_MODELS,
    description="The trained policy against uniform (what Evol-Instruct does) and other baselines on seeds it was never"
    " trained on, at an equal number of queries, with paired 95% intervals. Nothing paid depends on it.",
)
def policy_comparison(
    context: dg.AssetExecutionContext,
    config: ComparisonSettings,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Train what is compared besides the deployed policy, play every policy on the held-out seeds, and score it."""
    seeds, policy = store.current("seed_instructions"), store.current("trained_policy")
    deployed, run_id = load_policy(policy), context.run.run_id
    training, referenced = deployed.config, deployed.origin.reference_version is not None
    plan = config.plan(training, models.found_out(*training.roles), referenced=referenced)
    roles, settings, log = plan.roles(training), plan.settings(), context.log.info
    models.found_out(*roles)
    prices = models.known_generation_prices(training.reward)
    inputs = comparison_inputs(seeds, policy, models.versions(*roles), prices, plan)
    with materialization(
        context, store, config=config, settings=settings, inputs=inputs, resume=True, publish=models.publish
    ) as made:
        if made.draft is not None:
            models.check_reward(training.reward)
            made.preflight = preflight_of(context, models, *roles)
            begun, where = (made.folder / PARTS).exists(), CallContext(run_id, "policy_comparison")
            training_seeds, held_out = policy_seeds(seeds)
            earlier = made.output.earlier(store)
            tried = tried_episodes(models, Role.INSTRUCTOR)
            expected = comparison_questions(store, training_seeds, held_out, plan, training, policy, earlier, tried)
            asking = models.asking(where, *roles, expected=expected, log=log)
            elsewhere = sharing(models, where, *roles, expected=expected, log=log)
            reference = reference_of(store, policy)
            trainings = Trainings(training_seeds, deployed, reference, plan, made.folder, run_id, elsewhere)
            comparison, kept = loop.run(run_comparison(asking, trainings, held_out, prices, log))
            scores = all_scores(comparison, kept, plan, policy)
            with models.ledger.open() as ledger:
                asked = {} if begun else comparison_asking(ledger, where, plan, training, len(held_out))
            merge_parts(made.folder, kept.parts)
            write_prompts(made.folder, run_id, own_prompts(plan))
            write_table(made.folder, "policy_scores", [asdict(score) | {"run_id": run_id} for score in scores])
            outcomes = models.outcomes(where)
            made.finish(scores_version(scores), comparison_facts(comparison, plan, asking=asked, outcomes=outcomes))
    return made.result(ComparisonFacts, comparison_preview)
