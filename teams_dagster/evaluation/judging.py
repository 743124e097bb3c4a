"""The judge's query, two answers to one instruction in both orders, its verdict, and what judging would ask."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Intent, LLMClient, Outcome, Purpose, QueryFailed, Request, Role
from teams_dagster.core.replies import Choice
from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.prompts import Prompt, prompt
from teams_dagster.instructions.requests import VERDICT
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.ordered import in_order
from teams_dagster.llm.workers import LocalWorker
from teams_dagster.policy.query_forecast import SAMPLED, mean_bytes
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.base import QueryFacts
from teams_dagster.student.stored import ADAPTERS

JUDGE_FILE = Path(__file__).with_name("judge.md")

MARK_DIGITS = 12

PREFERENCES = Choice("better", ("A", "B", "tie"))
"""What `judge.md` asks for."""


class Preference(StrEnum):
    """What the judge said of two answers."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"
    UNCLEAR = "unclear"
    """It said none of these, or more than one of them."""


CREDIT = {Preference.FIRST: 1.0, Preference.SECOND: 0.0}
"""What a verdict is worth to the answer in the first place, where it prefers one."""


@dataclass(frozen=True)
class JudgedPair:
    """A model's answer and another's to one instruction, judged in both orders."""

    seed_id: str
    shown_first: Preference
    """The verdict where the model's answer stood first."""
    shown_second: Preference
    """The verdict where it stood second."""
    length: int
    """Characters of the model's answer."""
    other_length: int

    @property
    def score(self) -> float:
        """1 for a win in both orders, 0 for a loss in both."""
        return (CREDIT.get(self.shown_first, 0.5) + 1 - CREDIT.get(self.shown_second, 0.5)) / 2

    @property
    def contradictory(self) -> bool:
        """Whether the judge preferred one place, whichever answer stood there."""
        return self.shown_first is self.shown_second and self.shown_first in CREDIT


def judge_prompt() -> Prompt:
    """The judge's prompt. No prompt of the dataset: what is in it changes no policy and no generation."""
    return prompt("judge", shipped=JUDGE_FILE.parent)


def judge_query(instruction: Instruction, first: str, second: str) -> Request:
    """Ask the judge which of two answers is better.

    The tags around each text carry a mark that is a hash of all of them: no text can hold the mark of the query it
    is in, so none can close its tags and speak as the query.
    """
    template = judge_prompt()
    return Request(
        role=Role.JUDGE,
        intent=Intent(Purpose.JUDGE, before=instruction, answers=(first, second)),
        messages=template.render(
            instruction=instruction.text,
            input=instruction.input,
            first=first,
            second=second,
            mark=content_hash("judged", instruction.text, instruction.input, first, second)[:MARK_DIGITS],
        ),
        prompt_version=template.version,
        sampling=VERDICT,
        allowed=PREFERENCES,
    )


_MARKS = r"[\W_]*"
_VERDICT = re.compile(
    rf"{_MARKS}(?:(?:(?:my|the|final)\s+)*(?:verdict|result|conclusion)\b(?:\s+is\b)?{_MARKS})?"
    r"(?:(?:the\s+)?(?:better\s+)?(?:answer|assistant|response)\b(?:\s+is\b)?[\W_]*)?"
    rf"(?P<verdict>a|b|tie){_MARKS}(?:is\s+(?:the\s+)?better(?:\s+(?:answer|one))?{_MARKS})?",
    re.IGNORECASE,
)
_PREFERENCES = {"a": Preference.FIRST, "b": Preference.SECOND, "tie": Preference.TIE}


def parse_preference(text: str) -> Preference:
    """Read a reply that should say only "A", "B" or "tie".

    Case, punctuation, mark-up, `Verdict:` or `The better answer is` before it and `is better` after it do no harm. Any
    other word or a second verdict make a reply unclear, so that an answer under judgement cannot smuggle in one.
    """
    found = _VERDICT.fullmatch(text)
    return Preference.UNCLEAR if found is None else _PREFERENCES[found["verdict"].lower()]


ORDERS = 2
"""Each pair is judged with either answer first."""

BYTES_PER_TOKEN = 4
"""Of answers of which there is no example yet; half of the longest is taken for usual."""


def judging_questions(
    questions: int,
    max_new_tokens: int,
    held_out: Sequence[int],
    like: Sequence[Example],
    earlier: Artefact | None,
    *,
    pairs: int = len(ADAPTERS),
) -> list[QueryForecast]:
    """The queries to the judge that a win rate takes.

    Args:
        questions: Held-out instructions that the models answer, at most.
        max_new_tokens: Tokens of an answer, at most.
        held_out: How many held-out instructions there are: at least, likely and at most.
        like: Some of them, or examples like them.
        earlier: The same win rate, where it was made before: what failed then is all that is open.
        pairs: Pairs of models that are compared.
    """
    counts = [ORDERS * pairs * min(questions, count) for count in held_out]
    if earlier is not None:
        unanswered = earlier.read_facts(QueryFacts).unanswered
        counts = [min(count, unanswered) for count in counts]
    answer = "x" * (BYTES_PER_TOKEN * max_new_tokens // 2)
    answers = [(each.instruction, each.response or answer) for each in like[:SAMPLED]]
    prompts = [judge_query(instruction, answer, answer) for instruction, answer in answers]
    least, likely, most = counts
    return [QueryForecast(Role.JUDGE, Purpose.JUDGE, least, likely, most, mean_bytes(prompts), VERDICT.max_tokens)]


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
