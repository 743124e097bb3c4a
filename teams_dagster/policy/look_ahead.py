"""One-step look-ahead: try every operation, keep the one with the largest reward.

With its questions charged it shows what looking costs. With free questions it is the ceiling for a policy that chooses
one step at a time: nothing that acts on the same texts can know more about the next step.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from teams_dagster.environment.decisions import Decision
from teams_dagster.environment.state import ChosenBy, EpisodeKey, State
from teams_dagster.environment.transition import Environment, step
from teams_dagster.instructions.operations import TEXT_OPERATIONS


@dataclass(frozen=True)
class LookAhead:
    """Tries the six operations at each step."""

    free: bool
    """Whether the questions of the operations that were not kept are left out of the account."""

    async def decide(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """The operation with the largest reward; one of them by a draw where several have it."""
        tried = await asyncio.gather(*(step(environment, key, state, operation, 1.0) for operation in TEXT_OPERATIONS))
        asked = sum(result.queries for result, _ in tried)
        results = [result for result, following in tried if following is not None]
        if not results:
            failed = tried[0][0]
            return Decision(failed.operation, 1.0, ChosenBy.LOOK_AHEAD, queries=asked, failure=failed.failure)
        best = max(results, key=lambda result: (result.reward, key.draw(state.step, f"tie {result.operation.value}")))
        return Decision(best.operation, 1.0, ChosenBy.LOOK_AHEAD, queries=0 if self.free else asked - best.queries)
