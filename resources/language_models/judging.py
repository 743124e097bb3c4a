"""Asking the judge about a step's pairs of answers, by as many processes as the settings name."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from resources.language_models.roles import LanguageModels
from resources.language_models.side_by_side import working
from teams_dagster.core.protocol import Role
from teams_dagster.evaluation.asking_judge import contest_worker
from teams_dagster.evaluation.judged_answers import (
    AGAINST_BASE,
    JudgedAnswers,
    Pairs,
    demand_verdicts,
    judge_answers,
)
from teams_dagster.evaluation.student_answers import Answering
from teams_dagster.llm import loop
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.ordered import AHEAD
from teams_dagster.pricing.forecast import QueryForecast

if TYPE_CHECKING:
    from teams_dagster.student.answering import StudentAnswer


def judged_by_role(
    models: LanguageModels,
    where: CallContext,
    expected: Sequence[QueryForecast],
    answering: Answering,
    known: "Mapping[str, Mapping[str, StudentAnswer]]",
    pairs: Pairs = AGAINST_BASE,
) -> JudgedAnswers:
    """What the role JUDGE says of `pairs` of the answers that models give; never in batches.

    Args:
        models: Has the judge.
        where: The step that asks.
        expected: What it is likely to ask, for its budget and its progress.
        answering: Lets the models answer.
        known: Answers, by model and sample id, that are not made again.
        pairs: Whose answers are compared with whose.

    Raises what `LanguageModels.asking` does, and NothingAnswered where no pair has a verdict in both orders.
    """
    width = AHEAD * models.settings().max_in_flight
    judging = working(
        models,
        contest_worker,
        None,
        where,
        Role.JUDGE,
        expected=expected,
        width=width,
        log=answering.progress,
        batches=False,
    )
    judged = loop.run(judge_answers(judging, answering, known, width=width, pairs=pairs))
    demand_verdicts(judged)
    return judged
