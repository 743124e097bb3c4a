"""From accepted transitions to samples: the expert answers, the rules judge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping

from teams_dagster.core.protocol import Answer, LLMClient, QueryFailed
from teams_dagster.core.words import length_in_words
from teams_dagster.dataset.sample import Accepted, GivenAnswer, Sample
from teams_dagster.environment.state import sample_id_of
from teams_dagster.instructions.elimination import Rule, eliminate_answer, eliminate_outcome
from teams_dagster.instructions.requests import respond_query
from teams_dagster.llm.ordered import in_order

NO_ANSWER = "no_answer_"
"""How the reason of a sample begins whose query failed for good."""

ANSWER_STRIDE = 10_000_000
"""How far the replicas of an instruction's further answers lie from that of its first: beyond any other's."""


async def answer_transitions(
    client: LLMClient,
    accepted: Iterable[Accepted],
    replicas: Mapping[str, int],
    *,
    partition_key: str,
    width: int,
    answers: int = 1,
    reasoning_words: int | None = None,
) -> AsyncGenerator[Sample]:
    """One sample for each accepted transition, in their order; refused ones carry the rule they break.

    Args:
        client: Asks the expert.
        accepted: The instructions.
        replicas: By seed id, the replica of the query for the first answer.
        partition_key: The generation.
        width: Transitions whose queries may be under way at once.
        answers: How many answers each is given. A sample of several has all of them, and as its own the first that
            may be kept.
        reasoning_words: Keep what was thought before an answer, and refuse an answer with more words of it than this;
            None: samples are without it.
    """

    async def sample(transition: Accepted) -> Sample:
        sample_id, first = sample_id_of(transition.transition_id), replicas[transition.seed_id]
        given = await asyncio.gather(
            *(
                _answer(client, transition, sample_id, first + number * ANSWER_STRIDE, reasoning_words)
                for number in range(answers)
            )
        )
        own = next((each for each in given if each.reason is None), given[0])
        return Sample(
            sample_id=sample_id,
            transition_id=transition.transition_id,
            episode_id=transition.episode_id,
            step=transition.step,
            partition_key=partition_key,
            seed_id=transition.seed_id,
            instruction=transition.instruction,
            response=own.response,
            respond_request_id=own.respond_request_id,
            accepted=own.reason is None,
            reason=own.reason,
            reasoning=own.reasoning,
            answers=tuple(given) if answers > 1 else (),
        )

    async for made in in_order(sample, accepted, width):
        yield made


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
    reason = _eliminated(answer, reasoning, reasoning_words)
    return GivenAnswer(response, answer.request_id, None if reason is None else str(reason), reasoning)


def _eliminated(answer: Answer, reasoning: str | None, most_words: int | None) -> Rule | None:
    """The first rule that an answer breaks; what it says counts before how long was thought about it."""
    said = eliminate_outcome(answer.completion.outcome) or eliminate_answer(answer.completion.text)
    if said is None and reasoning and most_words is not None and length_in_words(reasoning) > most_words:
        return Rule.REASONING_TOO_LONG
    return said
