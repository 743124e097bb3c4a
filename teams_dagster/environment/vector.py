"""Episodes side by side that code from outside steps through: what the faces for other libraries share.

Everything but the choice of operations is here: which seed comes next, the queries of a step (asked all at once),
what is observed and what is told. `gymnasium` and `stable_baselines` put their libraries' names on it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.rng import uniform
from teams_dagster.environment.state import HORIZON, EpisodeKey, EpisodePurpose, State, Transition, episode_id
from teams_dagster.environment.transition import Environment, start, step
from teams_dagster.llm.background_loop import BackgroundEventLoop
from teams_dagster.llm.ordered import in_order

OPERATIONS = tuple(Operation)
"""What each action means, by its number."""


@dataclass(frozen=True)
class Task:
    """What is to be learned: who is asked, from which seeds, and what of a state is observed."""

    environment: Environment | Callable[[], AbstractAsyncContextManager[Environment]]
    """The environment, or what opens one: an engine belongs to one event loop, so it is made in the loop that asks."""
    seeds: Mapping[str, Instruction]
    """The instructions that episodes start from, by seed id."""
    observe: Callable[[State], np.ndarray]
    """The observation of a state: shape (size,)."""
    size: int
    operations: Sequence[Operation] = OPERATIONS
    """Those that may be chosen: the action mask."""
    policy: str = "outside"
    """Under which name its transitions are kept, and in which version."""
    policy_version: str = ""
    root_seed: int = 0
    """Root of the stream of seeds, until a reset names another."""

    def opened(self) -> AbstractAsyncContextManager[Environment]:
        """A context with the environment in it."""
        return nullcontext(self.environment) if isinstance(self.environment, Environment) else self.environment()

    def observation(self, state: State) -> np.ndarray:
        """What is observed of `state`: a new array, shape (size,), float64. Raises ValueError on another shape."""
        observed = np.array(self.observe(state), dtype=np.float64)
        if observed.shape != (self.size,):
            raise ValueError(f"`observe` returned the shape {observed.shape}; {(self.size,)} was promised")
        return observed

    def mask(self) -> np.ndarray:
        """1 for each operation that may be chosen: a new array, shape (operations,), int8."""
        return np.array([operation in self.operations for operation in OPERATIONS], dtype=np.int8)

    def key(self, root_seed: int, number: int) -> EpisodeKey:
        """Which episode is the one with this number. Its seed is a draw that belongs to root seed and number."""
        seed_ids = sorted(self.seeds)
        drawn = seed_ids[int(uniform(root_seed, "side_by_side", "seed", number) * len(seed_ids))]
        return EpisodeKey(
            root_seed=root_seed,
            purpose=EpisodePurpose.TRAIN,
            policy=self.policy,
            policy_version=self.policy_version,
            seed_id=drawn,
            episode=number,
        )


@dataclass(frozen=True)
class Running:
    """An episode under way."""

    key: EpisodeKey
    episode_id: str
    state: State


@dataclass(frozen=True)
class Taken:
    """A step that was taken."""

    transition: Transition
    state: State
    """The state after it: the one before it where a query failed."""
    terminated: bool
    """The horizon is reached."""
    truncated: bool
    """A query failed for good: what would have come is unknown, so a learner bootstraps the value of `state`."""

    @property
    def done(self) -> bool:
        """Whether the episode ended."""
        return self.terminated or self.truncated


class SideBySide:
    """`count` episodes in as many slots. Episode numbers are slot, slot + count, slot + 2 count, ... in each slot.

    So the episodes do not depend on which slot ends first, and `count` slots meet the seeds that one would meet.
    """

    def __init__(self, task: Task, count: int = 1) -> None:
        """Open the task's environment. Raises ValueError without a slot or a seed."""
        if count < 1 or not task.seeds:
            raise ValueError(f"cannot run {count} episodes side by side from {len(task.seeds)} seeds; both must be > 0")
        self.task = task
        self.count = count
        self._hosted = BackgroundEventLoop(task.opened())
        self._setting = self._hosted.resource.setting
        self._root_seed = task.root_seed
        self._begun = [0] * count
        self._running: list[Running | None] = [None] * count

    def restart(self, root_seed: int) -> None:
        """Count the episodes from 0 again, with another root seed (or the same, to repeat them)."""
        self._root_seed = root_seed
        self._begun = [0] * self.count
        self._running = [None] * self.count

    def begin(self, slot: int) -> State:
        """Begin the slot's next episode, whatever became of the one before. Returns its first state."""
        key = self.task.key(self._root_seed, slot + self.count * self._begun[slot])
        state = start(key.seed_id, self.task.seeds[key.seed_id])
        self._running[slot] = Running(key, episode_id(key, self._setting), state)
        self._begun[slot] += 1
        return state

    def is_over(self, slot: int) -> bool:
        """Whether the slot has no episode under way."""
        return self._running[slot] is None

    def advance(self, actions: Mapping[int, int]) -> dict[int, Taken]:
        """Apply to each slot the operation with the number given for it. All their queries are asked at once.

        An error that is no episode's (an exhausted budget, say) is raised; then no slot has moved, and the step may be
        tried again. Raises ValueError for an operation that may not be chosen or a slot without an episode.
        """
        wanted = [(slot, self._under_way(slot), self._operation(number)) for slot, number in actions.items()]
        taken = dict(zip(actions, self._hosted.run(self._ask(wanted)), strict=True))
        for slot, running, _ in wanted:
            ended = taken[slot].done
            self._running[slot] = None if ended else Running(running.key, running.episode_id, taken[slot].state)
        return taken

    def close(self) -> None:
        """Close the environment, once the queries under way are answered."""
        self._hosted.close()

    def _under_way(self, slot: int) -> Running:
        running = self._running[slot]
        if running is None:
            raise ValueError(f"the episode in slot {slot} is over or has not begun; reset first")
        return running

    def _operation(self, number: int) -> Operation:
        if not 0 <= number < len(OPERATIONS) or OPERATIONS[number] not in self.task.operations:
            names = [operation.value for operation in self.task.operations]
            raise ValueError(f"action {number} may not be chosen; the operations are {names}, see the action mask")
        return OPERATIONS[number]

    async def _ask(self, wanted: Sequence[tuple[int, Running, Operation]]) -> list[Taken]:
        environment = self._hosted.resource

        def take(item: tuple[int, Running, Operation]) -> Coroutine[Any, Any, Taken]:
            return _take(environment, item[1], item[2])

        async with aclosing(in_order(take, wanted, len(wanted))) as answers:
            return [taken async for taken in answers]


async def _take(environment: Environment, running: Running, operation: Operation) -> Taken:
    """One step of one episode. The operation is given, so its probability is 1."""
    transition, state = await step(environment, running.key, running.state, operation, 1.0, episode=running.episode_id)
    if state is None:
        return Taken(transition, running.state, terminated=False, truncated=True)
    return Taken(transition, state, terminated=state.step >= HORIZON, truncated=False)


def reset_info(task: Task, state: State) -> dict[str, Any]:
    """What is told of an episode that begins: its seed, its state with the text, the action mask."""
    return {"seed_id": state.seed_id, "state": state, "action_mask": task.mask()}


def step_info(task: Task, taken: Taken) -> dict[str, Any]:
    """What is told of a step: the transition itself, its main values by name, the state after it, the action mask.

    A value that does not apply (the verdict of an eliminated edit, say) is left out.
    """
    transition = taken.transition
    values = {
        "transition_id": transition.transition_id,
        "parent_transition_id": transition.parent_transition_id,
        "episode_id": transition.episode_id,
        "rewrite_request_id": transition.rewrite_request_id,
        "review_request_id": transition.review_request_id,
        "turned_review_request_id": transition.turned_review_request_id,
        "operation": transition.operation.value,
        "verdict": transition.verdict.value if transition.verdict else None,
        "verdict_probability": transition.verdict_probability,
        "eliminated_by": transition.eliminated_by.value if transition.eliminated_by else None,
        "failure": transition.failure,
        "novelty": transition.novelty,
        "accepted": transition.accepted,
        "queries": transition.queries,
        "transition": transition,
    }
    told = {name: value for name, value in values.items() if value is not None}
    return reset_info(task, taken.state) | told
