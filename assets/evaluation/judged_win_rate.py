"""Asset `judged_win_rate`: whose answers does the judge prefer, the base's or an adapter's?"""

import dagster as dg

from assets.columns import WIN_RATES, table_columns
from assets.evaluation.config import JudgeConfig
from assets.materialize import OWNERS, materialization
from assets.pools import GPU, ON_GPU
from assets.preflight import preflight_of
from resources.language_models.judging import judged_by_role
from resources.language_models.roles import LanguageModels
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.stored import read_examples
from teams_dagster.evaluation.judged_answers import (
    judged_version,
    judging_inputs,
    win_rates,
    write_judged,
)
from teams_dagster.evaluation.judging_forecast import judging_questions
from teams_dagster.evaluation.stored import evaluated_models
from teams_dagster.evaluation.student_answers import ASKED_ALIKE, Answering, earlier_answers
from teams_dagster.llm.context import CallContext
from teams_dagster.report.preview_evaluation import win_rate_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import DatasetFacts
from teams_dagster.store.facts.evaluation import JudgeModel, WinRateFacts


@dg.asset(
    group_name="evaluation",
    deps=["base_model", "lora_model", "qlora_model", "instruction_dataset"],
    kinds={"openai", "huggingface"},
    owners=OWNERS,
    metadata=table_columns("win_rates", WIN_RATES),
    code_version="2",
    op_tags=ON_GPU,
    pool=GPU,
    description="How often the judge prefers an adapter's answers to the base's, on held-out instructions: each pair in"
    " both orders, ties counted, length controlled, with 95% intervals that resample seeds.",
)
def judged_win_rate(
    context: dg.AssetExecutionContext,
    config: JudgeConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Let every model answer, ask the judge, and score what it says."""
    students, dataset = evaluated_models(store), store.current("instruction_dataset")
    models.found_out(Role.JUDGE)
    inputs = judging_inputs(students, dataset, models.versions(Role.JUDGE))
    where, log = CallContext(context.run.run_id, "judged_win_rate"), context.log.info
    with materialization(context, store, config=config, inputs=inputs, publish=models.publish, resume=True) as made:
        if made.draft is not None:
            made.preflight = preflight_of(context, models, Role.JUDGE)
            held_out = read_examples(dataset, "held_out")
            asked = {name: getattr(config, name) for name in ASKED_ALIKE}
            answering = Answering(students, held_out, asked, made.folder, log)
            known = {} if config.force else earlier_answers("judged_win_rate", store, students, dataset, asked)
            earlier = made.output.earlier(store)
            counts = [len(held_out)] * 3
            expected = judging_questions(config.questions, config.max_new_tokens, counts, held_out, earlier)
            judged = judged_by_role(models, where, expected, answering, known)
            judge = models.identities(Role.JUDGE)[Role.JUDGE]
            rates = win_rates(judged, students, dataset.data_version, str(judge), seed=config.seed)
            write_judged(made.folder, context.run.run_id, judged, rates, students)
            facts = WinRateFacts(
                judge=JudgeModel(provider=judge.provider, model=judge.model),
                questions=len(judged.answered.examples),
                too_long=judged.answered.too_long,
                cut_off=judged.cut_off,
                overlap=dataset.read_facts(DatasetFacts).overlap,
                unanswered=judged.unanswered,
                outcomes=models.outcomes(where),
            )
            made.finish(judged_version(judged, rates), facts)
    return made.result(WinRateFacts, win_rate_preview)
