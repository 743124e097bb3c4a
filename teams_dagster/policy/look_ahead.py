"""One-step look-ahead: try every operation, keep the one with the largest reward, or rest where all of them lose.

With its queries charged it shows what looking costs. With free queries it is the ceiling for a policy that chooses
one step at a time: nothing that acts on the same texts can know more about the next step. As a guide it needs no model
of its own, and is paid for like one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.environment.decisions import Decision
from teams_dagster.environment.state import ChosenBy, EpisodeKey, State, Transition
from teams_dagster.environment.transition import Environment, step


@dataclass(frozen=True)
class LookAhead:
    """Tries every operation at each step."""

    free: bool
    """Whether the queries of the operations that were not kept are left out of the account."""
    may_rest: bool = True
    """Whether it may choose `none`."""

    async def decide(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """The operation with the largest reward; one of them by a draw where several have it; `none` below 0."""
        chosen, kept = await self.choose(environment, key, state)
        if chosen.failure is not None:
            return chosen
        return replace(chosen, queries=0 if self.free else chosen.queries - kept)

    async def choose(self, environment: Environment, key: EpisodeKey, state: State) -> tuple[Decision, int]:
        """The same with all that was asked to find it, and how much of that is the chosen edit's own."""
        tried = await _try_all(environment, key, state)
        results = [result for result in tried if result.failure is None]
        decision = Decision(Operation.NONE, 1.0, ChosenBy.LOOK_AHEAD, queries=sum(result.queries for result in tried))
        if not results:
            failed = tried[0]
            return replace(decision, operation=failed.operation, failure=failed.failure), 0
        best = max(results, key=lambda result: (result.reward, key.draw(state.step, f"tie {result.operation.value}")))
        if best.reward < 0 and self.may_rest:
            return decision, 0
        return replace(decision, operation=best.operation), best.queries


async def _try_all(environment: Environment, key: EpisodeKey, state: State) -> list[Transition]:
    """What each operation leads to. An error that is not the episode's ends the other tries, and is raised."""
    try:
        async with asyncio.TaskGroup() as tries:
            tasks = [tries.create_task(step(environment, key, state, operation, 1.0)) for operation in TEXT_OPERATIONS]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result()[0] for task in tasks]


@dataclass(frozen=True)
class LookAheadGuide:
    """A guide that names what a charged look-ahead chooses."""

    may_rest: bool

    async def decide(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """What it names, and does; the edit that follows is on the account already."""
        return _named(await self._look_ahead.decide(environment, key, state, transition))

    async def ask(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """What it names, with every query on its account, since the edit that follows is another's choice."""
        chosen, _ = await self._look_ahead.choose(environment, key, state)
        return _named(chosen)

    @property
    def _look_ahead(self) -> LookAhead:
        return LookAhead(free=False, may_rest=self.may_rest)


def _named(chosen: Decision) -> Decision:
    named = chosen.operation if isinstance(chosen.operation, Operation) and chosen.failure is None else None
    return replace(chosen, proposed=named)
