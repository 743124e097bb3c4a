"""Asset `outcome_scores`: students of several arms at equal queries, on measures that no reward ever saw."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from assets.check_results import needs_output, warning
from assets.columns import OUTCOME, table_columns
from assets.materialize import COMPARED_LAST, OWNERS, AssetConfig, materialization
from assets.pools import GPU, ON_GPU
from assets.preflight import preflight_of
from resources.language_models.roles import LanguageModels
from resources.language_models.side_by_side import working
from teams_dagster.core.files import file_sha256
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import Role
from teams_dagster.evaluation.constraints.prompts import constrained_prompts
from teams_dagster.evaluation.outcome.arm_worker import ArmWork, arm_worker
from teams_dagster.evaluation.outcome.arms import study_seeds
from teams_dagster.evaluation.outcome.items import people_pairs
from teams_dagster.evaluation.outcome.plan import OutcomePlan, study_queries
from teams_dagster.evaluation.outcome.study import fitting, make_pairs, outcome_facts, run_students, write_texts
from teams_dagster.instructions.stored_seeds import read_seeds
from teams_dagster.llm import loop
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.ordered import AHEAD
from teams_dagster.policy.checkpoint import load_policy, policy_seeds
from teams_dagster.report.preview_outcome import outcome_preview
from teams_dagster.settings import Settings
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.evaluation import OutcomeFacts
from teams_dagster.store.facts.models import BaseFacts
from teams_dagster.store.facts.policy import PolicyFacts
from teams_dagster.store.tables import write_table
from teams_dagster.student.adapter_config import AdapterConfig, student_config
from teams_dagster.student.isolation import one_training_at_a_time
from teams_dagster.student.stored import student_path


@dg.asset_check(
    asset="outcome_scores",
    description="No arm asked more than it was allowed, every student made as many updates, and no arm had to repeat"
    " its pairs to fill its students' rows.",
    metadata={
        "severity": "warning",
        "remedy": "An arm with fewer pairs than rows repeats them, which is a part of what its queries cost it: raise"
        " `queries`, or lower `rows`, to compare what pairs are like alone.",
    },
)
@needs_output
def outcome_arms_are_alike(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A difference between students may come from their arms' pairs alone."""
    facts = store.current("outcome_scores").read_facts(OutcomeFacts)
    said = [
        f"{name} asked {arm.asked:,} queries of {arm.allowed:,}"
        for name, arm in facts.arms.items()
        if arm.asked > arm.allowed
    ]
    if len({updates for arm in facts.arms.values() for updates in arm.updates}) > 1:
        said.append("students made different numbers of updates")
    said += [
        f"{name} has {arm.pairs} pairs for {facts.rows} rows, and repeats them"
        for name, arm in facts.arms.items()
        if arm.pairs < facts.rows
    ]
    return warning(
        not said, "; ".join(said) or f"{len(facts.arms)} arms asked and trained alike, {facts.rows} rows a student"
    )


_PLAN = OutcomePlan.model_fields


class NoPairs(ValueError):
    """A study without people's pairs to score students on."""


class StudentSettings(dg.Config):
    """How each student's adapter is trained; what is left out is as suits the student."""

    learning_rate: float | None = Field(default=None, gt=0, description="Peak learning rate.")
    epochs: float | None = Field(default=None, gt=0, description="Passes over the rows.")
    batch_size: int | None = Field(default=None, ge=1, description="Rows of an update.")
    max_length: int | None = Field(default=None, ge=8, description="Longest row and longest pair, in tokens.")
    rank: int | None = Field(default=None, ge=1, description="Rank of the adapter's matrices.")

    def adapter(self, rows: int, *, embedded: bool) -> AdapterConfig:
        """The settings of a training on so many rows, its updates counted: all arms make as many."""
        given = {name: value for name, value in self.model_dump().items() if value is not None}
        config = AdapterConfig(**{**student_config("lora", embedded=embedded).model_dump(), **given})
        updates = max(1, round(config.epochs * -(-rows // config.examples_per_update)))
        return config.model_copy(update={"max_steps": updates})


class OutcomeSettings(AssetConfig):
    """What is compared, and on how much."""

    queries: int | None = Field(
        default=None,
        ge=1,
        description="Queries of each arm, answers included; with training's counted they have to pay for that, too. By"
        " default twice as many as the policy's training asked.",
    )
    seeds: int | None = Field(default=None, ge=1, description="Seeds that arms start from, at most. By default all.")
    rows: int = Field(default=_PLAN["rows"].default, ge=2, description=_PLAN["rows"].description)
    students: int = Field(default=_PLAN["students"].default, ge=3, description=_PLAN["students"].description)
    pairs_files: list[str] = Field(
        default=[],
        description="Absolute paths of files of people's pairs, read as TEAMS_PAIRS is. By default the file that"
        " TEAMS_PAIRS names. Pairs near to training rows are not asked.",
    )
    pairs: int = Field(default=_PLAN["pairs"].default, ge=8, description=_PLAN["pairs"].description)
    prompts: int = Field(default=_PLAN["prompts"].default, ge=2, le=200, description=_PLAN["prompts"].description)
    max_new_tokens: int = Field(
        default=_PLAN["max_new_tokens"].default, ge=1, description=_PLAN["max_new_tokens"].description
    )
    root_seed: int = Field(default=0, ge=0, description=_PLAN["root_seed"].description)
    student: StudentSettings = StudentSettings()

    def plan(self, training_queries: int, *, embedded: bool) -> OutcomePlan:
        """The study's sizes, given what the policy's training asked."""
        same: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("seeds", "rows", "students", "pairs", "prompts", "max_new_tokens", "root_seed")
        }
        return OutcomePlan(
            queries=self.queries or 2 * training_queries,
            training_queries=training_queries,
            adapter=self.student.adapter(self.rows, embedded=embedded),
            **same,
        )

    def files(self, settings: Settings) -> list[Path]:
        """The files of people's pairs. Raises NoPairs where none is named."""
        named = [Path(name) for name in self.pairs_files] or ([settings.pairs] if settings.pairs else [])
        if not named:
            raise NoPairs(
                "outcome_scores has no people's pairs to score students on: set TEAMS_PAIRS to a file of instructions"
                " with people's own answers, or `pairs_files` in the run's configuration"
            )
        return named


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
            work = ArmWork(tuple(policy_seeds(library)[0].values()), checkpoint)
            where = CallContext(context.run.run_id, "outcome_scores")
            expected = study_queries(policy, seeds, plan)
            width = AHEAD * models.settings().max_in_flight
            workers = working(models, arm_worker, work, where, *ROLES, expected=expected, width=width, log=log)
            played = make_pairs(workers, checkpoint, seeds, plan, made.folder, where.run_id, width=width, log=log)
            arms = loop.run(played)
            student = student_path(base)
            with nullcontext() if embedded else one_training_at_a_time(store.root, log):
                study = run_students(student, fitting(student, arms, plan), people, plan, made.folder, log)
            rows = [asdict(score) for score in study.scores()]
            write_table(made.folder, "evaluation_scores", (row | {"run_id": where.run_id} for row in rows))
            write_texts(made.folder, study)
            made.finish(content_hash("outcome_scores", rows), outcome_facts(study, plan, models.outcomes(where)))
    return made.result(OutcomeFacts, outcome_preview)
