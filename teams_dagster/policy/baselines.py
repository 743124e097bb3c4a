"""Policies that do not learn, to compare a trained one with.

One-step look-ahead: try every operation, keep the one with the largest reward, or rest where all of them lose.

With its queries charged it shows what looking costs. With free queries it is the ceiling for a policy that chooses
one step at a time: nothing that acts on the same texts can know more about the next step.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.environment.decisions import Actor, Decider, Decision
from teams_dagster.environment.state import ChosenBy, EpisodeKey, State, Transition
from teams_dagster.environment.transition import Environment, step
from teams_dagster.policy.guide import Guide


@dataclass(frozen=True)
class LookAhead:
    """Tries every operation at each step."""

    free: bool
    """Whether the queries of the operations that were not kept are left out of the account."""

    async def decide(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """The operation with the largest reward; one of them by a draw where several have it; `none` below 0."""
        tried = await _try_all(environment, key, state)
        asked = sum(result.queries for result in tried)
        results = [result for result in tried if result.failure is None]
        if not results:
            failed = tried[0]
            return Decision(failed.operation, 1.0, ChosenBy.LOOK_AHEAD, queries=asked, failure=failed.failure)
        best = max(results, key=lambda result: (result.reward, key.draw(state.step, f"tie {result.operation.value}")))
        if best.reward < 0:
            return Decision(Operation.NONE, 1.0, ChosenBy.LOOK_AHEAD, queries=0 if self.free else asked)
        return Decision(best.operation, 1.0, ChosenBy.LOOK_AHEAD, queries=0 if self.free else asked - best.queries)


async def _try_all(environment: Environment, key: EpisodeKey, state: State) -> list[Transition]:
    """What each operation leads to. An error that is not the episode's ends the other tries, and is raised."""
    try:
        async with asyncio.TaskGroup() as tries:
            tasks = [tries.create_task(step(environment, key, state, operation, 1.0)) for operation in TEXT_OPERATIONS]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result()[0] for task in tasks]


UNIFORM = "uniform"
UNIFORM_WITH_NONE = "uniform_with_none"
ROUND_ROBIN = "round_robin"
FORCED_SCHEDULE = "forced_schedule"
GUIDE = "guide"
LAZY_ONE_EDIT = "lazy_one_edit"
LAZY_TWO_EDITS = "lazy_two_edits"
LOOK_AHEAD = "look_ahead"
CEILING = "look_ahead_free"

_ORDER = tuple(Operation)


@dataclass(frozen=True)
class Uniform:
    """Every operation with the same probability: what Evol-Instruct does."""

    operations: tuple[Operation, ...] = TEXT_OPERATIONS

    def probabilities(self, state: State) -> np.ndarray:
        """The same for each of `operations`, whatever the state."""
        chances = np.array([operation in self.operations for operation in _ORDER], dtype=np.float64)
        return chances / chances.sum()


class RoundRobin:
    """The operations in their order, one a step."""

    def probabilities(self, state: State) -> np.ndarray:
        """1 for the operation whose turn it is."""
        return _certain(TEXT_OPERATIONS[state.step % len(TEXT_OPERATIONS)])


class ForcedSchedule:
    """What the reference code forces on its policy, without the policy: breadth at the second and the fifth step.

    Elsewhere uniform, with add_constraints in the place of breadth.
    """

    STEPS = (1, 4)

    def probabilities(self, state: State) -> np.ndarray:
        """Of breadth alone, or of the others."""
        if state.step in self.STEPS:
            return _certain(Operation.BREADTH)
        chances = Uniform().probabilities(state)
        breadth, constraints = _ORDER.index(Operation.BREADTH), _ORDER.index(Operation.ADD_CONSTRAINTS)
        chances[constraints] += chances[breadth]
        chances[breadth] = 0.0
        return chances


@dataclass(frozen=True)
class Fixed:
    """The same operation always."""

    operation: Operation

    def probabilities(self, state: State) -> np.ndarray:
        """1 for the operation."""
        return _certain(self.operation)


@dataclass(frozen=True)
class Lazy:
    """The same few operations at the start, then none: asks little, so what it asks pays well."""

    operations: tuple[Operation, ...]

    def probabilities(self, state: State) -> np.ndarray:
        """1 for the operation whose turn it is, or for none."""
        return _certain(self.operations[state.step] if state.step < len(self.operations) else Operation.NONE)


def _certain(operation: Operation) -> np.ndarray:
    return np.array([candidate is operation for candidate in _ORDER], dtype=np.float64)


def baselines() -> dict[str, Actor | Decider]:
    """Every baseline by its name; the fixed ones are named as their operation."""
    fixed: dict[str, Actor | Decider] = {operation.value: Fixed(operation) for operation in TEXT_OPERATIONS}
    return {
        UNIFORM: Uniform(),
        UNIFORM_WITH_NONE: Uniform(_ORDER),
        ROUND_ROBIN: RoundRobin(),
        **fixed,
        LAZY_ONE_EDIT: Lazy((Operation.ADD_CONSTRAINTS,)),
        LAZY_TWO_EDITS: Lazy((Operation.BREADTH, Operation.ADD_CONSTRAINTS)),
        FORCED_SCHEDULE: ForcedSchedule(),
        GUIDE: Guide(TEXT_OPERATIONS),
        LOOK_AHEAD: LookAhead(free=False),
        CEILING: LookAhead(free=True),
    }


def is_deterministic(baseline: Actor | Decider) -> bool:
    """Whether all episodes of `baseline` from one seed are alike (the answers being the same)."""
    return isinstance(baseline, RoundRobin | Fixed | Lazy)


def baseline_version(name: str) -> str:
    """The policy version that a baseline's transitions carry."""
    return content_hash("baseline", name, [operation.value for operation in _ORDER])
