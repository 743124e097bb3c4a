"""From accepted transitions to samples: the expert answers, the rules judge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Answer, LLMClient, QueryFailed
from teams_dagster.core.words import length_in_words
from teams_dagster.dataset.sample import Accepted, GivenAnswer, Sample
from teams_dagster.environment.state import sample_id_of
from teams_dagster.instructions.elimination import Rule, eliminate_answer, eliminate_outcome
from teams_dagster.instructions.requests import respond_query
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.ordered import in_order
from teams_dagster.llm.workers import LocalWorker

NO_ANSWER = "no_answer_"
"""How the reason of a sample begins whose query failed for good."""

ANSWER_STRIDE = 10_000_000
"""How far the replicas of an instruction's further answers lie from that of its first: beyond any other's."""


@dataclass(frozen=True)
class Answering:
    """How the instructions of a generation are answered."""

    replicas: Mapping[str, int]
    """By seed id, the replica of the query for the first answer."""
    partition_key: str
    """The generation."""
    answers: int = 1
    """How many each is given. A sample of several has all of them, and as its own the first that may be kept."""
    reasoning_words: int | None = None
    """Keep what was thought before an answer, and refuse an answer with more words of it than this; None: samples are
    without it."""

    async def sample(self, client: LLMClient, transition: Accepted) -> Sample:
        """The sample of an accepted transition; a refused one carries the rule it breaks."""
        sample_id, first = sample_id_of(transition.transition_id), self.replicas[transition.seed_id]
        given = await asyncio.gather(
            *(
                _answer(client, transition, sample_id, first + number * ANSWER_STRIDE, self.reasoning_words)
                for number in range(self.answers)
            )
        )
        own = next((each for each in given if each.reason is None), given[0])
        return Sample(
            sample_id=sample_id,
            transition_id=transition.transition_id,
            episode_id=transition.episode_id,
            step=transition.step,
            partition_key=self.partition_key,
            seed_id=transition.seed_id,
            instruction=transition.instruction,
            response=own.response,
            respond_request_id=own.respond_request_id,
            accepted=own.reason is None,
            reason=own.reason,
            reasoning=own.reasoning,
            answers=tuple(given) if self.answers > 1 else (),
        )


def answer_transitions(
    client: LLMClient, accepted: Iterable[Accepted], work: Answering, *, width: int
) -> AsyncGenerator[Sample]:
    """One sample for each accepted transition, in their order, with at most `width` under way."""
    return in_order(partial(work.sample, client), accepted, width)


@asynccontextmanager
async def answer_worker(
    work: Answering, asking: AbstractAsyncContextManager[Engine]
) -> AsyncGenerator[LocalWorker[Accepted, Sample]]:
    """Has accepted transitions answered."""
    async with asking as engine:
        yield LocalWorker(partial(work.sample, engine), engine.tallies)


async def _answer(
    client: LLMClient, transition: Accepted, sample_id: str, replica: int, reasoning_words: int | None
) -> GivenAnswer:
    try:
        answer = await client.ask(
            respond_query(transition.instruction, replica),
            transition_id=transition.transition_id,
            sample_id=sample_id,
        )
    except QueryFailed as failed:
        return GivenAnswer(None, None, f"{NO_ANSWER}{failed.kind.value}")
    response = answer.completion.text
    reasoning = answer.completion.reasoning if reasoning_words is not None else None
    reason = _eliminated(answer, transition.instruction, reasoning, reasoning_words)
    return GivenAnswer(response, answer.request_id, None if reason is None else str(reason), reasoning)


def _eliminated(answer: Answer, instruction: Instruction, reasoning: str | None, most_words: int | None) -> Rule | None:
    """The first rule that an answer breaks; what it says counts before how long was thought about it."""
    said = eliminate_outcome(answer.completion.outcome) or eliminate_answer(answer.completion.text, instruction)
    if said is None and reasoning and most_words is not None and length_in_words(reasoning) > most_words:
        return Rule.REASONING_TOO_LONG
    return said
