"""How the next operation of an episode is chosen: drawn from probabilities, or asked for."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import accumulate
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from teams_dagster.core.operations import Operation, Rewriting
from teams_dagster.environment.state import ChosenBy, EpisodeKey, State
from teams_dagster.environment.transition import Environment

_OPERATIONS = tuple(Operation)

Result = TypeVar("Result")


class Actor(Protocol):
    """Chooses operations without asking anybody: a policy, or a baseline."""

    def probabilities(self, state: State) -> np.ndarray:
        """Probability of each operation in the order of `Operation`, shape (operations,), summing to 1."""
        ...


@dataclass(frozen=True)
class Decision:
    """An operation, and how it was come by."""

    operation: Rewriting
    probability: float
    """With which it was chosen; 1 when it was named."""
    chosen_by: ChosenBy = ChosenBy.POLICY
    proposed: Operation | None = None
    """What the guide named; None when it was not asked, or could not be read."""
    guide_request_id: str | None = None
    """The guide's answer that was read, or the last that could not be."""
    unread_request_id: str | None = None
    """The guide's answer before that one, which could not be read."""
    queries: int = 0
    """Queries that were asked to decide."""
    failure: str | None = None
    """Why a query got no answer, which truncates the episode here; None otherwise."""


@runtime_checkable
class Decider(Protocol):
    """Chooses operations, and may ask queries for it."""

    async def decide(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """The operation for the episode `key` at `state`; `transition` is the id of the transition to come."""
        ...


@dataclass(frozen=True)
class Drawing:
    """Draws from an actor's probabilities, by the episode's own stream."""

    actor: Actor

    async def decide(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """A draw that belongs to the episode's step and to nothing else."""
        if is_slow(self.actor):
            return await apart(partial(draw, self.actor, key, state))
        return draw(self.actor, key, state)


def is_slow(actor: Actor) -> bool:
    """Whether `actor` says of itself, by an attribute `slow`, that other queries should go on while it computes."""
    return bool(getattr(actor, "slow", False))


async def apart(compute: Callable[[], Result]) -> Result:
    """What `compute` returns, computed in a thread beside the event loop's: one such call after the other."""
    return await asyncio.get_running_loop().run_in_executor(_apart(), compute)


@cache
def _apart() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="policy")


def draw(actor: Actor, key: EpisodeKey, state: State) -> Decision:
    """The operation that the episode's draw falls on."""
    return drawn(actor.probabilities(state), key.draw(state.step, "action"))


def drawn(probabilities: np.ndarray, point: float) -> Decision:
    """The operation that `point` in [0, 1) falls on. Raises what `choose` does."""
    index = choose(probabilities, point)
    return Decision(_OPERATIONS[index], float(probabilities[index]))


def choose(probabilities: np.ndarray, draw: float) -> int:
    """The index that `draw` in [0, 1) falls on, by the inverse of the cumulative distribution.

    Never an index of probability 0. Raises ValueError when the probabilities are not a distribution.
    """
    chances: list[float] = probabilities.tolist()  # of seven numbers: lists take a fifth of the time that arrays do
    cumulative = list(accumulate(chances))
    if not abs(cumulative[-1] - 1.0) < 1e-6 or min(chances) < 0:
        raise ValueError(f"{probabilities} is not a distribution over operations; check the actor that returned it")
    last = max(index for index, chance in enumerate(chances) if chance)
    return min(bisect_right(cumulative, draw * cumulative[-1]), last)
