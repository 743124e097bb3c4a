"""Policies that do not learn, to compare a trained one with: fixed ones, and a look-ahead of one step.

With its queries charged, the look-ahead shows what looking costs. With free queries it is the ceiling for a policy that
chooses one step at a time: nothing that acts on the same texts can know more about the next step. As a guide it needs
no model of its own, and is paid for like one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import numpy as np

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.operations import TEXT_OPERATIONS, GenericRewrite, Operation
from teams_dagster.environment.decisions import Actor, Decider, Decision, is_slow
from teams_dagster.environment.state import ChosenBy, EpisodeKey, State, Transition
from teams_dagster.environment.transition import Environment, step
from teams_dagster.instructions.requests import rewrite_prompt
from teams_dagster.policy.guide import Guide


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


UNIFORM = "uniform"
UNIFORM_WITH_NONE = "uniform_with_none"
ROUND_ROBIN = "round_robin"
FORCED_SCHEDULE = "forced_schedule"
GUIDE = "guide"
LAZY_ONE_EDIT = "lazy_one_edit"
LAZY_TWO_EDITS = "lazy_two_edits"
LOOK_AHEAD = "look_ahead"
CEILING = "look_ahead_free"
GENERIC_PROMPT = "generic_prompt"
OPEN_LOOP = "open_loop"
BANDIT = "bandit"
TABLE = "table"

SEARCHED = (OPEN_LOOP, BANDIT, TABLE)
"""Rules that are searched on the training seeds before they can be compared: `policy.searched`."""

SIMPLER_RULES = (*SEARCHED, GENERIC_PROMPT)
"""What would do in the place of a learner, if it did as well."""

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


FORCED_STEPS = (1, 4)
"""Steps at which the reference code forces breadth."""


@dataclass(frozen=True)
class ForcedSchedule:
    """What the reference code forces on its policy: breadth at the second and the fifth step, and at no other.

    Elsewhere the policy's own choice, with add_constraints in the place of breadth.
    """

    actor: Actor = Uniform()

    @property
    def slow(self) -> bool:
        """As the actor is."""
        return is_slow(self.actor)

    def probabilities(self, state: State) -> np.ndarray:
        """Of breadth alone, or of the others."""
        if state.step in FORCED_STEPS:
            return _certain(Operation.BREADTH)
        chances = self.actor.probabilities(state).copy()
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


@dataclass(frozen=True)
class GenericPrompt:
    """One prompt for every edit, which says "make it harder" and names no operation."""

    async def decide(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """The same for every state."""
        return Decision(GenericRewrite.HARDER, 1.0)


def _certain(operation: Operation) -> np.ndarray:
    return np.array([candidate is operation for candidate in _ORDER], dtype=np.float64)


def baselines() -> dict[str, Actor | Decider]:
    """Every baseline that needs no search by its name; the fixed ones are named as their operation."""
    fixed: dict[str, Actor | Decider] = {operation.value: Fixed(operation) for operation in TEXT_OPERATIONS}
    return {
        UNIFORM: Uniform(),
        UNIFORM_WITH_NONE: Uniform(_ORDER),
        ROUND_ROBIN: RoundRobin(),
        **fixed,
        LAZY_ONE_EDIT: Lazy((Operation.ADD_CONSTRAINTS,)),
        LAZY_TWO_EDITS: Lazy((Operation.BREADTH, Operation.ADD_CONSTRAINTS)),
        FORCED_SCHEDULE: ForcedSchedule(),
        GENERIC_PROMPT: GenericPrompt(),
        GUIDE: Guide(TEXT_OPERATIONS),
        LOOK_AHEAD: LookAhead(free=False),
        CEILING: LookAhead(free=True),
    }


def baseline_names() -> list[str]:
    """Every baseline, the searched ones among them."""
    return [*baselines(), *SEARCHED]


def is_deterministic(baseline: Actor | Decider) -> bool:
    """Whether all episodes of `baseline` from one seed are alike (the answers being the same)."""
    return isinstance(baseline, RoundRobin | Fixed | Lazy | GenericPrompt)


def baseline_version(name: str) -> str:
    """The policy version that a baseline's transitions carry."""
    prompts = [rewrite_prompt(GenericRewrite.HARDER).version] if name == GENERIC_PROMPT else []
    return content_hash("baseline", name, [operation.value for operation in _ORDER], *prompts)
