"""From accepted transitions to samples: the expert answers, the rules judge."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping

from teams_dagster.core.protocol import LLMClient, QueryFailed
from teams_dagster.dataset.sample import Accepted, Sample
from teams_dagster.environment.state import sample_id_of
from teams_dagster.instructions.elimination import eliminate_answer, eliminate_outcome
from teams_dagster.instructions.requests import respond_query
from teams_dagster.llm.ordered import in_order

NO_ANSWER = "no_answer_"
"""How the reason of a sample begins whose question failed for good."""


async def answer_transitions(
    client: LLMClient, accepted: Iterable[Accepted], replicas: Mapping[str, int], *, partition_key: str, width: int
) -> AsyncGenerator[Sample]:
    """One sample for each accepted transition, in their order; refused ones carry the rule they break.

    `replicas` maps seed ids to the replica that their questions use; `width` bounds the questions under way.
    """

    async def sample(transition: Accepted) -> Sample:
        return await _answer(client, transition, replicas[transition.seed_id], partition_key)

    async for made in in_order(sample, accepted, width):
        yield made


async def _answer(client: LLMClient, transition: Accepted, replica: int, partition_key: str) -> Sample:
    sample_id = sample_id_of(transition.transition_id)
    response = request_id = None
    try:
        answer = await client.ask(
            respond_query(transition.instruction, replica),
            transition_id=transition.transition_id,
            sample_id=sample_id,
        )
    except QueryFailed as failed:
        reason = f"{NO_ANSWER}{failed.kind.value}"
    else:
        request_id = answer.request_id
        response = answer.completion.text
        reason = eliminate_outcome(answer.completion.outcome) or eliminate_answer(response)
    return Sample(
        sample_id=sample_id,
        transition_id=transition.transition_id,
        episode_id=transition.episode_id,
        step=transition.step,
        partition_key=partition_key,
        seed_id=transition.seed_id,
        instruction=transition.instruction,
        response=response,
        respond_request_id=request_id,
        accepted=reason is None,
        reason=None if reason is None else str(reason),
    )
