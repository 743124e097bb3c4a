"""Who plays and answers the arms of a study, in the step's own process or in several beside it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import LLMClient, QueryFailed, Role
from teams_dagster.environment.episodes import EpisodePlan, run_episode
from teams_dagster.environment.state import Episode
from teams_dagster.environment.transition import Environment
from teams_dagster.evaluation.outcome.arms import Answered, Unanswered, players
from teams_dagster.instructions.elimination import eliminate_answer, eliminate_outcome
from teams_dagster.instructions.novelty import Pool
from teams_dagster.instructions.requests import respond_query
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.workers import LocalWorker, Worker
from teams_dagster.policy.checkpoint import Checkpoint


@dataclass(frozen=True)
class ArmWork:
    """What whoever plays and answers needs, as values."""

    trained_on: tuple[Instruction, ...]
    """The pool of the policy's training: what its reward measures novelty against."""
    checkpoint: Checkpoint


@dataclass(frozen=True)
class ArmEpisode:
    """An episode of an arm, that is to be played."""

    arm: str
    plan: EpisodePlan


ArmItem = ArmEpisode | Unanswered

ArmResult = Episode | Answered


@asynccontextmanager
async def arm_worker(
    work: ArmWork, asking: AbstractAsyncContextManager[Engine]
) -> AsyncGenerator[LocalWorker[ArmItem, ArmResult]]:
    """Plays episodes of the arms, and has what they bring answered."""
    async with asking as engine:
        environment = Environment(engine, Pool(work.trained_on), work.checkpoint.config.reward, Role.EXPERT)
        by_arm = players(work.checkpoint)

        async def bring(item: ArmItem) -> ArmResult:
            if isinstance(item, ArmEpisode):
                return await run_episode(environment, by_arm[item.arm].decider, item.plan)
            return await _answered(engine, item)

        yield LocalWorker(bring, engine.tallies)


class ArmPlayers:
    """A worker as an arm sees it: episodes for plans, and answers for instructions."""

    def __init__(self, worker: Worker[ArmItem, ArmResult]) -> None:
        self._call = worker.call

    def episodes_of(self, arm: str) -> Callable[[EpisodePlan], Coroutine[Any, Any, Episode]]:
        """What plays an episode of `arm`."""

        async def play(plan: EpisodePlan) -> Episode:
            episode = await self._call(ArmEpisode(arm, plan))
            assert isinstance(episode, Episode), "a plan brings an episode"
            return episode

        return play

    async def answer(self, one: Unanswered) -> Answered:
        """The expert's answer to an instruction."""
        answered = await self._call(one)
        assert isinstance(answered, Answered), "an instruction brings an answer"
        return answered


async def _answered(client: LLMClient, one: Unanswered) -> Answered:
    """The answer, None where none came, and whether the elimination rules keep it."""
    try:
        answer = await client.ask(respond_query(one.instruction), transition_id=one.transition_id)
    except QueryFailed:
        return Answered(one, None, kept=False)
    said = answer.completion
    refused = eliminate_outcome(said.outcome) or eliminate_answer(said.text, one.instruction)
    return Answered(one, said.text, kept=refused is None)
