"""Asks the judge: an adapter's answer and the base's to each instruction, in both orders."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import LLMClient, Outcome, QueryFailed
from teams_dagster.evaluation.judging import Preference, judge_query, parse_preference
from teams_dagster.evaluation.win_rate import JudgedPair
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.ordered import in_order
from teams_dagster.llm.workers import LocalWorker

UNANSWERED = "unanswered"
"""The verdict of a query that failed for good."""


@dataclass(frozen=True)
class Contest:
    """Two models' answers to one instruction."""

    model: str
    against: str
    sample_id: str
    seed_id: str
    instruction: Instruction
    answer: str
    other_answer: str


@dataclass(frozen=True)
class Judged:
    """What the judge said in one order."""

    preference: Preference | None
    """None where the query failed for good."""
    request_id: str | None
    prompt_version: str


@dataclass(frozen=True)
class Judgement:
    """A contest with its two verdicts."""

    contest: Contest
    shown_first: Judged
    """Where the model's answer stood first."""
    shown_second: Judged

    @property
    def unanswered(self) -> int:
        """Queries that failed for good."""
        return [self.shown_first.preference, self.shown_second.preference].count(None)

    @property
    def pair(self) -> JudgedPair | None:
        """What the win rate is made of; None where a query failed."""
        first, second = self.shown_first.preference, self.shown_second.preference
        if first is None or second is None:
            return None
        contest = self.contest
        return JudgedPair(contest.seed_id, first, second, len(contest.answer), len(contest.other_answer))

    def rows(self) -> list[dict[str, object]]:
        """Its rows of table `judgements`, one an order (all columns but `run_id`)."""
        contest = self.contest
        return [
            {
                "model": contest.model,
                "against": contest.against,
                "sample_id": contest.sample_id,
                "first": first,
                "verdict": _named(judged.preference, first, second),
                "judge_request_id": judged.request_id,
                "prompt_version": judged.prompt_version,
            }
            for judged, first, second in (
                (self.shown_first, contest.model, contest.against),
                (self.shown_second, contest.against, contest.model),
            )
        ]


def _named(preference: Preference | None, first: str, second: str) -> str:
    """Who is preferred, or what else was said."""
    if preference is None:
        return UNANSWERED
    return {Preference.FIRST: first, Preference.SECOND: second}.get(preference, preference.value)


def judge_contests(client: LLMClient, contests: Iterable[Contest], *, width: int) -> AsyncGenerator[Judgement]:
    """The judgement of each contest, in their order; `width` bounds the contests under way."""
    return in_order(partial(judge_contest, client), contests, width)


@asynccontextmanager
async def contest_worker(
    work: None, asking: AbstractAsyncContextManager[Engine]
) -> AsyncGenerator[LocalWorker[Contest, Judgement]]:
    """Asks the judge about contests; all that it needs is in them."""
    async with asking as engine:
        yield LocalWorker(partial(judge_contest, engine), engine.tallies)


async def judge_contest(client: LLMClient, contest: Contest) -> Judgement:
    """What the judge says of a contest, in both orders."""
    answers = contest.answer, contest.other_answer
    first = await _ask(client, contest, *answers)
    return Judgement(contest, first, await _ask(client, contest, *reversed(answers)))


async def _ask(client: LLMClient, contest: Contest, first: str, second: str) -> Judged:
    """One query. A reply that is no usable answer (refused, cut off, empty) is an unclear verdict."""
    question = judge_query(contest.instruction, first, second)
    try:
        answer = await client.ask(question, sample_id=contest.sample_id)
    except QueryFailed:
        return Judged(None, None, question.prompt_version)
    usable = answer.completion.outcome is Outcome.USABLE
    preference = parse_preference(answer.completion.text) if usable else Preference.UNCLEAR
    return Judged(preference, answer.request_id, question.prompt_version)
