"""The judged win rate: whose answers to held-out instructions does the judge prefer, the base's or an adapter's?"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from typing import Any

import dagster as dg
from pydantic import Field

from assets.columns import WIN_RATES, table_columns
from assets.dataset.instruction_dataset import instruction_dataset
from assets.evaluation import EvaluationConfig, evaluated_models, evaluated_versions
from assets.making import make_or_reuse
from assets.materialize import OWNERS, output_of
from assets.models import base_model, lora_model, qlora_model
from assets.outcomes import outcome_facts, outcome_metadata
from resources.language_models.roles import LanguageModels
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.markdown import as_markdown_image, markdown_table
from teams_dagster.core.protocol import Purpose, Role
from teams_dagster.core.text import interval, number
from teams_dagster.dataset.failures import NothingAnswered
from teams_dagster.dataset.sample import Example
from teams_dagster.dataset.stored import read_examples
from teams_dagster.evaluation.asking_judge import Contest, Judgement, judge_contests
from teams_dagster.evaluation.judging import judge_prompt, judge_question
from teams_dagster.evaluation.stored import read_win_rates
from teams_dagster.evaluation.student_answers import (
    ASKED_ALIKE,
    BASE,
    TABLE,
    Answered,
    Answering,
    answer_all,
    answer_rows,
    drop_kept,
    earlier_answers,
)
from teams_dagster.evaluation.win_rate import Compared, WinRate, win_rate
from teams_dagster.instructions.requests import VERDICT
from teams_dagster.llm import loop
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.ordered import AHEAD
from teams_dagster.llm.progress import Progress
from teams_dagster.policy.query_forecast import SAMPLED, mean_bytes
from teams_dagster.pricing.forecast import Expected
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft
from teams_dagster.store.facts.base import UNANSWERED
from teams_dagster.store.tables import write_table
from teams_dagster.student.stored import ADAPTERS

ORDERS = 2
"""Each pair is judged with either answer first."""

BYTES_PER_TOKEN = 4
"""Of answers of which there is no example yet; half of the longest is taken for usual."""


class JudgeConfig(EvaluationConfig):
    """Which held-out instructions the models answer, and how long an answer may be."""

    questions: int = Field(
        default=40,
        ge=1,
        le=10_000,
        description="Held-out instructions that the base and each adapter answer, one of each seed before a second one"
        " of a seed. The judge is asked twice about each, for each adapter.",
    )
    max_new_tokens: int = Field(default=256, ge=1, description="Tokens of an answer, at most.")


@dg.asset(
    group_name="evaluation",
    deps=[base_model, lora_model, qlora_model, instruction_dataset],
    kinds={"openai", "huggingface"},
    owners=OWNERS,
    metadata=table_columns("win_rates", WIN_RATES),
    code_version="1",
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
    where = CallContext(context.run.run_id, "judged_win_rate")

    def make(draft: Draft) -> None:
        held_out = read_examples(dataset, "held_out")
        settings = {name: getattr(config, name) for name in ASKED_ALIKE}
        answering = Answering(students, held_out, settings, draft.folder, context.log.info)
        known = {} if config.force else earlier_answers("judged_win_rate", store, students, dataset, settings)
        earlier = made_before(config, store, students, dataset, models)
        expected = judging_questions(config, [len(held_out)] * 3, held_out, earlier)
        asking = models.asking(where, Role.JUDGE, expected=expected, log=context.log.info)
        width = AHEAD * models.settings().max_in_flight
        answered, judged = loop.run(_judge(context, asking, answering, known, width=width))
        unanswered = sum(each.unanswered for each in judged)
        if all(each.pair is None for each in judged):
            raise NothingAnswered(
                f"no pair of answers was judged in both orders: {unanswered} questions failed, and the ledger"
                " (llm_calls.error_kind, error_detail) says why. Make the judge reachable and run the same step again:"
                " what was answered is kept"
            )
        judge = models.identities(Role.JUDGE)[Role.JUDGE]
        rates = list(_rates(answered, judged, students, dataset, str(judge), config.seed))
        _write(draft, context.run.run_id, answered, judged, rates, students)
        facts = {
            "judge": {"provider": judge.provider, "model": judge.model},
            "questions": len(answered.examples),
            "too_long": answered.too_long,
            "cut_off": _cut_off(answered),
            UNANSWERED: unanswered,
            **outcome_facts(models, where),
        }
        said = [{**row, "judge_request_id": None} for each in judged for row in each.rows()]
        draft.finish(content_hash("judged_win_rate", [asdict(rate) for rate in rates], said), facts)

    return make_or_reuse(
        context,
        store,
        config=config,
        inputs=judging_inputs(students, dataset, models),
        make=make,
        show=_show,
        resume=True,
        published=models.publish,
    )


def judging_inputs(students: Mapping[str, Artefact], dataset: Artefact, models: LanguageModels) -> dict[str, str]:
    """What a win rate is made from, besides its configuration."""
    return {
        **evaluated_versions(students, dataset),
        "prompt of judge": judge_prompt().version,
        **models.versions(Role.JUDGE),
    }


def made_before(
    config: JudgeConfig,
    store: ArtefactStore,
    students: Mapping[str, Artefact],
    dataset: Artefact,
    models: LanguageModels,
) -> Artefact | None:
    """The win rate of these models by this judge, where it was made before."""
    inputs = judging_inputs(students, dataset, models)
    return output_of(judged_win_rate, config, inputs).earlier(store)


def judging_questions(
    config: JudgeConfig, held_out: Sequence[int], like: Sequence[Example], earlier: Artefact | None
) -> list[Expected]:
    """What judging answers to so many held-out instructions (least, likely, most) asks, `like` being some of them.

    Where some questions of it failed `earlier`, they alone are open.
    """
    counts = [ORDERS * len(ADAPTERS) * min(config.questions, count) for count in held_out]
    if earlier is not None:
        counts = [min(count, earlier.facts[UNANSWERED]) for count in counts]
    answer = "x" * (BYTES_PER_TOKEN * config.max_new_tokens // 2)
    answers = [(each.instruction, each.response or answer) for each in like[:SAMPLED]]
    questions = [judge_question(instruction, answer, answer) for instruction, answer in answers]
    least, likely, most = counts
    return [Expected(Role.JUDGE, Purpose.JUDGE, least, likely, most, mean_bytes(questions), VERDICT.max_tokens)]


async def _judge(
    context: dg.AssetExecutionContext,
    asking: AbstractAsyncContextManager[Engine],
    answering: Answering,
    known: Mapping[str, Any],
    *,
    width: int,
) -> tuple[Answered, list[Judgement]]:
    """The models' answers, made once it is known that the judge may be asked, and what it says of them."""
    judged: list[Judgement] = []
    async with asking as engine:
        answered = answer_all(answering, known)
        contests = list(_contests(answered))
        progress = Progress(len(contests), "pairs of answers", engine.tallies, context.log.info, kept="judged")
        async with progress:
            async for judgement in judge_contests(engine, contests, width=width):
                judged.append(judgement)
                progress.done(judgement.pair is not None)
    return answered, judged


def _contests(answered: Answered) -> Iterator[Contest]:
    for adapter in ADAPTERS:
        for example in answered.examples:
            yield Contest(
                model=adapter,
                against=BASE,
                sample_id=example.sample_id,
                seed_id=example.seed_id,
                instruction=example.instruction,
                answer=answered.answers[adapter][example.sample_id].response,
                other_answer=answered.answers[BASE][example.sample_id].response,
            )


def _rates(
    answered: Answered,
    judged: Sequence[Judgement],
    students: Mapping[str, Artefact],
    dataset: Artefact,
    judge: str,
    seed: int,
) -> Iterator[WinRate]:
    """The win rate of each adapter some of whose pairs were judged; all by the same resampled seeds."""
    for adapter in ADAPTERS:
        version, questions = students[adapter].data_version, len(answered.examples)
        pairs = [each.pair for each in judged if each.contest.model == adapter and each.pair is not None]
        if pairs:
            compared = Compared(adapter, BASE, questions, judge, version, dataset.data_version)
            yield win_rate(pairs, compared, "judged", seed)


def _write(
    draft: Draft,
    run_id: str,
    answered: Answered,
    judged: Sequence[Judgement],
    rates: Sequence[WinRate],
    students: Mapping[str, Artefact],
) -> None:
    run, prompt = {"run_id": run_id}, judge_prompt()
    template = {"prompt_version": prompt.version, "name": prompt.name, "text": prompt.source}
    write_table(draft.folder, TABLE, (row | run for row in answer_rows(answered, students)))
    write_table(draft.folder, "judgements", (row | run for each in judged for row in each.rows()))
    write_table(draft.folder, "win_rates", (asdict(rate) | run for rate in rates))
    write_table(draft.folder, "prompt_templates", [template | run])
    drop_kept(draft.folder)


def _cut_off(answered: Answered) -> dict[str, int]:
    """By model, the answers that were cut off."""
    return {name: sum(not a.finished for a in answers.values()) for name, answers in answered.answers.items()}


def _show(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    from teams_dagster.report import pictures

    rates, facts = read_win_rates(artefact), artefact.facts
    picture = dg.MetadataValue.md(as_markdown_image(pictures.win_rates(rates), "Win rates"))
    return {
        **{f"{rate.model}_win_rate": rate.win_rate for rate in rates},
        **{f"{rate.model}_length_controlled": rate.length_controlled for rate in rates},
        **{f"{rate.model}_contradictory": rate.contradictory / rate.pairs for rate in rates},
        "picture": picture,
        "win_rates": dg.MetadataValue.md(_table(rates)),
        "judge": f"{facts['judge']['provider']}/{facts['judge']['model']}",
        "questions": facts["questions"],
        "too_long": facts["too_long"],
        "cut_off": dg.MetadataValue.json(facts["cut_off"]),
        **outcome_metadata(facts),
    }


def _table(rates: Sequence[WinRate]) -> str:
    columns = ("model", "against", "pairs", "wins", "ties", "losses", "unclear", "win rate", "95% interval")
    rows = [
        (
            *(rate.model, rate.against, rate.pairs, rate.wins, rate.ties, rate.losses, rate.unclear),
            *(number(rate.win_rate), interval(rate.ci_low, rate.ci_high)),
            *(number(rate.length_controlled), interval(rate.lc_low, rate.lc_high)),
            *(number(rate.first_place_share), f"{rate.mean_length:.0f} / {rate.mean_length_base:.0f}"),
        )
        for rate in rates
    ]
    more = ("length-controlled", "95% interval", "first place", "characters")
    return markdown_table((*columns, *more), rows)
