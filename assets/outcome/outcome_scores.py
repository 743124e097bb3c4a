"""Asset `outcome_scores`: students of several arms at equal queries, on measures that no reward ever saw."""

from contextlib import nullcontext
from dataclasses import asdict

import dagster as dg

from assets.columns import OUTCOME, table_columns
from assets.materialize import COMPARED_LAST, OWNERS, materialization
from assets.outcome.config import OutcomeSettings
from assets.pools import GPU, ON_GPU
from assets.preflight import preflight_of
from resources.language_models.roles import LanguageModels
from teams_dagster.core.files import file_sha256
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import Role
from teams_dagster.evaluation.constraints.prompts import constrained_prompts
from teams_dagster.evaluation.outcome.arms import study_seeds
from teams_dagster.evaluation.outcome.forecast import study_queries
from teams_dagster.evaluation.outcome.items import people_pairs
from teams_dagster.evaluation.outcome.stored import outcome_facts
from teams_dagster.evaluation.outcome.study import World, fitting, make_pairs, run_students, write_texts
from teams_dagster.instructions.novelty import Pool
from teams_dagster.instructions.stored_seeds import read_seeds
from teams_dagster.llm import loop
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.ordered import AHEAD
from teams_dagster.policy.checkpoint import load_policy, policy_seeds
from teams_dagster.report.preview_outcome import outcome_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.evaluation import OutcomeFacts
from teams_dagster.store.facts.models import BaseFacts
from teams_dagster.store.facts.policy import PolicyFacts
from teams_dagster.store.tables import write_table
from teams_dagster.student.isolation import one_training_at_a_time
from teams_dagster.student.stored import student_path

ROLES = (Role.EXPERT, Role.REVIEWER)

INPUTS = ("seed_instructions", "trained_policy", "base_model")


@dg.asset(
    group_name="outcome",
    deps=list(INPUTS),
    kinds={"openai", "huggingface"},
    owners=OWNERS,
    op_tags=COMPARED_LAST | ON_GPU,
    metadata=table_columns("evaluation_scores", OUTCOME),
    code_version="1",
    pool=GPU,
    description="Students trained on what the trained policy, uniform, one generic prompt and the seeds alone bring at"
    " equal queries, training's counted and not: loss and choice on people's own pairs, and constraints that programs"
    " check, each difference with its interval and the smallest one that could have been seen.",
)
def outcome_scores(
    context: dg.AssetExecutionContext,
    config: OutcomeSettings,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Play every arm, train its students, score them. An interrupted study goes on after its last student."""
    library, policy, base = (store.current(key) for key in INPUTS)
    embedded = base.read_facts(BaseFacts).embedded
    plan = config.plan(policy.read_facts(PolicyFacts).questions, embedded=embedded)
    files = config.files(models.settings())
    models.found_out(*ROLES)
    inputs = {
        **{key: artefact.data_version for key, artefact in zip(INPUTS, (library, policy, base), strict=True)},
        **models.versions(*ROLES),
        "people's pairs": content_hash("files", [file_sha256(file) for file in files]),
        "prompts": content_hash("prompts", [prompt.prompt_id for prompt in constrained_prompts()]),
    }
    settings, log = plan.model_dump(mode="json"), context.log.info
    with materialization(
        context, store, config=config, settings=settings, inputs=inputs, resume=True, publish=models.publish
    ) as made:
        if made.draft is not None:
            checkpoint, people = load_policy(policy), people_pairs(files)
            models.check_reward(checkpoint.config.reward)
            made.preflight = preflight_of(context, models, *ROLES)
            seeds = study_seeds({seed.seed_id: seed.instruction for seed in read_seeds(library)}, plan)
            world = World(seeds, Pool(policy_seeds(library)[0].values()), checkpoint)
            where = CallContext(context.run.run_id, "outcome_scores")
            expected = study_queries(policy, seeds, plan)
            asking = models.asking(where, *ROLES, expected=expected, log=log)
            width = AHEAD * models.settings().max_in_flight
            arms = loop.run(make_pairs(asking, world, plan, made.folder, where.run_id, width=width, log=log))
            student = student_path(base)
            with nullcontext() if embedded else one_training_at_a_time(store.root, log):
                study = run_students(student, fitting(student, arms, plan), people, plan, made.folder, log)
            rows = [asdict(score) for score in study.scores()]
            write_table(made.folder, "evaluation_scores", (row | {"run_id": where.run_id} for row in rows))
            write_texts(made.folder, study)
            made.finish(content_hash("outcome_scores", rows), outcome_facts(study, plan, models.outcomes(where)))
    return made.result(OutcomeFacts, outcome_preview)
