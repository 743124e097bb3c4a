"""Asset `rlgf_scores`: what a token-level training is worth, beside one fine-tuning and the base."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.columns import RLGF_SCORES, table_columns
from assets.evaluation.config import JudgeConfig
from assets.materialize import COMPARED_LAST, OWNERS, materialization
from assets.pools import GPU, ON_GPU
from assets.preflight import preflight_of
from resources.language_models.judging import judged_by_role
from resources.language_models.roles import LanguageModels
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.stored import read_examples
from teams_dagster.evaluation.judged_answers import (
    judged_version,
    judging_inputs,
    win_rates,
    write_judged,
)
from teams_dagster.evaluation.judging_forecast import judging_questions
from teams_dagster.evaluation.membership.adapter import audit_adapter
from teams_dagster.evaluation.rlgf.scores import (
    PAIRS,
    RLGF,
    compared_models,
    evaluate,
    score_rows,
    stage_scores,
    tuned_on,
)
from teams_dagster.evaluation.stored import PRIVACY
from teams_dagster.evaluation.student_answers import ASKED_ALIKE, Answering, earlier_answers
from teams_dagster.llm.context import CallContext
from teams_dagster.report.preview_evaluation import rlgf_scores_preview
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.evaluation import JudgeModel
from teams_dagster.store.facts.rlgf import RLGFScoreFacts
from teams_dagster.store.tables import write_table

if TYPE_CHECKING:
    from teams_dagster.student.answering import StudentAnswer


@dg.asset(
    group_name="rlgf",
    deps=["base_model", "lora_model", "rlgf_model", "instruction_dataset"],
    kinds={"openai", "huggingface"},
    owners=OWNERS,
    op_tags=COMPARED_LAST | ON_GPU,
    metadata=table_columns("evaluation_scores", RLGF_SCORES),
    code_version="1",
    pool=GPU,
    description="Base, one fine-tuning and what a token-level training made of it: held-out loss, response choice, the"
    " judge's win rates, membership inference, and what each took in queries and dollars.",
)
def rlgf_scores(
    context: dg.AssetExecutionContext,
    config: JudgeConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Score all three on held-out instructions, and ask the judge. Scores that are in other assets are not written."""
    students, dataset = compared_models(store), store.current("instruction_dataset")
    models.found_out(Role.JUDGE)
    inputs = judging_inputs(students, dataset, models.versions(Role.JUDGE))
    where, log = CallContext(context.run.run_id, "rlgf_scores"), context.log.info
    with materialization(context, store, config=config, inputs=inputs, publish=models.publish, resume=True) as made:
        if made.draft is not None:
            made.preflight = preflight_of(context, models, Role.JUDGE)
            scores = evaluate(students, dataset, seed=config.seed, progress=log)
            learnt = tuned_on(store, students)
            audit = audit_adapter(students, RLGF, learnt, seed=config.seed, progress=log)
            (made.folder / PRIVACY).write_text(json.dumps(audit, indent=1), encoding="utf-8")
            held_out = read_examples(dataset, "held_out")
            asked = {name: getattr(config, name) for name in ASKED_ALIKE}
            known = {} if config.force else _known_answers(store, students, dataset, asked)
            counts = [len(held_out)] * 3
            expected = judging_questions(
                config.questions, config.max_new_tokens, counts, held_out, made.output.earlier(store), pairs=len(PAIRS)
            )
            answering = Answering(students, held_out, asked, made.folder, log)
            judged = judged_by_role(models, where, expected, answering, known, PAIRS)
            judge = models.identities(Role.JUDGE)[Role.JUDGE]
            rates = win_rates(judged, students, dataset.data_version, str(judge), seed=config.seed, pairs=PAIRS)
            rows = score_rows(scores)
            write_table(made.folder, "evaluation_scores", (row | {"run_id": where.run_id} for row in rows))
            write_judged(made.folder, where.run_id, judged, rates, students)
            facts = RLGFScoreFacts(
                judge=JudgeModel(provider=judge.provider, model=judge.model),
                questions=len(judged.answered.examples),
                too_long=judged.answered.too_long,
                stages=stage_scores(students, learnt, scores, rates),
                unanswered=judged.unanswered,
                outcomes=models.outcomes(where),
            )
            made.finish(content_hash("rlgf_scores", rows, audit, judged_version(judged, rates)), facts)
    return made.result(RLGFScoreFacts, rlgf_scores_preview)


def _known_answers(
    store: ArtefactStore, students: Mapping[str, Artefact], dataset: Artefact, asked: Mapping[str, Any]
) -> dict[str, dict[str, "StudentAnswer"]]:
    """By model, what it answered to the same draw for this asset or for `judged_win_rate`."""
    found = (earlier_answers(key, store, students, dataset, asked) for key in ("judged_win_rate", "rlgf_scores"))
    return {name: answers for answered in found for name, answers in answered.items()}
