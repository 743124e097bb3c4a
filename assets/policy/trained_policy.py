"""The policy, trained on a part of the seeds."""

from dataclasses import dataclass
from functools import partial

import dagster as dg

from assets.columns import POLICIES, table_columns
from assets.materialize import DATASET_FIRST, OWNERS, materialization
from assets.policy.config import PolicyConfig
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
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.query_forecast import asking_of, training_questions
from teams_dagster.policy.reader.config import STUDENT, LanguageModelReaderConfig
from teams_dagster.policy.reader.reading import BaseNotGiven
from teams_dagster.policy.training_run import train_policy
from teams_dagster.report.preview_policy import policy_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.models import BaseFacts
from teams_dagster.store.facts.policy import PolicyFacts
from teams_dagster.store.tables import write_table
from teams_dagster.student.adapter_config import MODEL


@dataclass(frozen=True)
class FoundStudent:
    """A training with the student that its policy reads with, found."""

    training: TrainingConfig
    """With the student's own folder or hub id as the base, where it has one outside the store."""
    folder: str | None
    """Where the student lies in the store, if it does; None: the policy needs none, or names it itself."""
    version: str | None
    """Of the student; None where the policy does not read with it."""

    @property
    def inputs(self) -> dict[str, str]:
        """What the policy is made from besides, by name to version."""
        return {} if self.version is None else {"base_model": self.version}


def find_student(training: TrainingConfig, store: ArtefactStore) -> FoundStudent:
    """The student that `training` reads with. Raises BaseNotGiven where it does, and there is no `base_model` yet."""
    reading = training.reader
    if not isinstance(reading, LanguageModelReaderConfig) or reading.base != STUDENT:
        return FoundStudent(training, None, None)
    if not store.exists("base_model"):
        raise BaseNotGiven
    base = store.current("base_model")
    facts = base.read_facts(BaseFacts)
    if facts.embedded or facts.unpacked:
        return FoundStudent(training, str(base.path(MODEL)), base.data_version)
    named = training.model_copy(update={"reader": reading.model_copy(update={"base": facts.student})})
    return FoundStudent(named, None, base.data_version)


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
    reference, settings = config.reference_version, training.model_dump(mode="json")
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
