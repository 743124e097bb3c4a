"""The guide as an actor: a black-box language model that names the next operation (RLGF, Chang et al. 2023).

Its answer is parsed; one that cannot be read is asked once more (the next replica: the same query would get the
same answer), then the operation is drawn uniformly. Such a draw moves the episode and is never a label to learn from.
Every query is counted, paid for and kept like any other; equal queries are answered from the ledger.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Protocol

from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Answer, Outcome, QueryFailed, Request
from teams_dagster.environment.decisions import Decider, Decision
from teams_dagster.environment.state import HORIZON, ChosenBy, EpisodeKey, State
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.requests import guide_query, parse_operation

ATTEMPTS = 2
"""Times that the guide is asked for one state."""


class Advisor(Protocol):
    """Who can guide."""

    async def decide(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """The operation it takes itself."""
        ...

    async def ask(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """What it would take, as `proposed`; None where that cannot be read."""
        ...


@dataclass(frozen=True)
class Guide:
    """Follows the guide. The prompt-only baseline, and what RLGF rolls in or out with."""

    allowed: tuple[Operation, ...]
    """What it may name, `none` among it or not."""

    async def decide(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """What the guide names; a uniform draw where it cannot be read."""
        decision = await self.ask(environment, key, state, transition)
        if decision.proposed is not None or decision.failure is not None:
            return decision
        index = int(key.draw(state.step, "guide") * len(self.allowed))
        return replace(
            decision,
            operation=self.allowed[index],
            probability=1 / len(self.allowed),
            chosen_by=ChosenBy.FALLBACK,
        )

    async def ask(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """What the guide names, `proposed` being None where it cannot be read."""
        said = Decision(Operation.NONE, 1.0, ChosenBy.GUIDE)
        for attempt in range(ATTEMPTS):
            said = replace(said, queries=said.queries + 1)
            try:
                answer = await environment.client.ask(
                    self._question(state, key.replica * ATTEMPTS + attempt), transition_id=transition
                )
            except QueryFailed as failed:
                return replace(said, failure=f"guide: {failed.kind.value}: {failed.detail}")
            said = replace(said, guide_request_id=answer.request_id, unread_request_id=said.guide_request_id)
            if (operation := _named(answer, self.allowed)) is not None:
                return replace(said, operation=operation, proposed=operation)
        return said

    def _question(self, state: State, replica: int) -> Request:
        return guide_query(
            state.instruction,
            [(past.operation, past.accepted) for past in state.past],
            HORIZON - state.step,
            may_rest=Operation.NONE in self.allowed,
            replica=replica,
        )


def _named(answer: Answer, allowed: Collection[Operation]) -> Operation | None:
    """The operation that an answer names. One that was cut short may have named it before."""
    completion = answer.completion
    readable = completion.outcome in (Outcome.USABLE, Outcome.TRUNCATED)
    return parse_operation(completion.text, allowed) if readable else None


@dataclass(frozen=True)
class Labelled:
    """Follows `acting`, and asks the guide for its word on every state (DAgger, Ross et al. 2011)."""

    acting: Decider
    guide: Advisor

    async def decide(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """The decision of `acting`, with what the guide would have done as `proposed`."""
        said = await self.guide.ask(environment, key, state, transition)
        if said.failure is not None:
            return said
        acted = await self.acting.decide(environment, key, state, transition)
        return replace(
            acted,
            proposed=said.proposed,
            guide_request_id=said.guide_request_id,
            unread_request_id=said.unread_request_id,
            queries=acted.queries + said.queries,
        )
