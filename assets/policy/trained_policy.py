"""The policy, trained on a part of the seeds."""

from functools import partial

import dagster as dg

from assets.columns import POLICIES, table_columns
from assets.materialize import DATASET_FIRST, OWNERS, materialization
from assets.policy.config import PolicyConfig
from assets.policy.student_base import find_student
from assets.pools import LANGUAGE_MODELS
from assets.preflight import preflight_of, tried_episodes
from resources.language_models.roles import LanguageModels
from teams_dagster.core.protocol import Role
from teams_dagster.environment.answers_cost import answers_cost
from teams_dagster.environment.order_effect import order_effect
from teams_dagster.environment.recording import merge_parts, training_parts
from teams_dagster.instructions.prompts import write_prompts
from teams_dagster.llm import loop
from teams_dagster.llm.context import CallContext
from teams_dagster.policy.checkpoint import policy_facts, policy_inputs, policy_of_version, policy_row, policy_seeds
from teams_dagster.policy.query_forecast import asking_of, training_questions
from teams_dagster.policy.training_run import train_policy
from teams_dagster.report.preview_policy import policy_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.policy import PolicyFacts
from teams_dagster.store.tables import write_table


@dg.asset(
    group_name="policy",
    deps=["seed_instructions"],
    kinds={"torch", "parquet"},
    owners=OWNERS,
    op_tags=DATASET_FIRST,
    metadata=table_columns("policies", POLICIES),
    code_version="1",
    pool=LANGUAGE_MODELS,
    description="The policy that chooses operations, trained on the reviewer's verdicts: checkpoint, learning curve,"
    " operation mix.",
)
def trained_policy(
    context: dg.AssetExecutionContext,
    config: PolicyConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Train on the policy's side of the seeds. An interrupted training continues after its last iteration."""
    seeds, run_id = store.current("seed_instructions"), context.run.run_id
    found = find_student(config.training(models.generation_prices), store)
    training = found.training
    reference, settings = config.kl_reference.policy_version, training.model_dump(mode="json")
    models.found_out(*training.roles)
    versions = found.inputs | models.versions(*training.roles)
    inputs = policy_inputs(seeds, training, versions, reference, found.folder)
    with materialization(
        context, store, config=config, settings=settings, inputs=inputs, resume=True, publish=models.publish
    ) as made:
        if made.draft is not None:
            models.check_reward(training.reward)
            training_seeds, _ = policy_seeds(seeds)
            asked = partial(training_questions, store, training_seeds, training, made.output)
            where = CallContext(run_id, "trained_policy")
            models.check_budget(where, *training.roles, expected=asked(tried_episodes(models, Role.INSTRUCTOR)))
            made.preflight = preflight_of(context, models, *training.roles)
            expected = asked(tried_episodes(models, Role.INSTRUCTOR))
            checkpoint = loop.run(
                train_policy(
                    models.asking(where, *training.roles, expected=expected, log=context.log.info),
                    training_seeds,
                    training,
                    policy_of_version(store, reference) if reference else None,
                    folder=made.folder,
                    run_id=run_id,
                    log=context.log.info,
                    student=found.folder,
                )
            )
            merge_parts(made.folder, training_parts(checkpoint.iteration))
            write_prompts(made.folder, run_id)
            transitions = made.folder / "transitions.parquet"
            with models.ledger.open() as ledger:
                cost = answers_cost(ledger, transitions)
            write_table(made.folder, "policies", [policy_row(checkpoint, seeds.data_version, cost, run_id)])
            asking = asking_of(transitions, checkpoint.iteration * training.episodes_per_iteration)
            outcomes = models.outcomes(where)
            facts = policy_facts(checkpoint, cost, order_effect(transitions), asking=asking, outcomes=outcomes)
            made.finish(checkpoint.policy_version, facts)
    return made.result(PolicyFacts, policy_preview)
