"""Many episodes at once. Each advances on its own: nothing waits for the slowest answer of a step."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from teams_dagster.completions.ordered import in_order
from teams_dagster.environment.state import HORIZON, Episode, EpisodeKey, State, Transition, episode_id
from teams_dagster.environment.transition import Environment, start, step
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.instructions.operations import Operation

OPEN_EPISODES = 512
"""Episodes that are started and not yet handed over, at most: memory does not grow with their number."""

_OPERATIONS = tuple(Operation)


class Actor(Protocol):
    """Chooses operations: a policy, or a baseline."""

    def probabilities(self, state: State) -> np.ndarray:
        """Probability of each operation in the order of `Operation`, shape (operations,), summing to 1."""
        ...


@dataclass(frozen=True)
class EpisodePlan:
    """An episode that is to be run: its key and the seed it starts from."""

    key: EpisodeKey
    seed: Instruction


def choose(probabilities: np.ndarray, draw: float) -> int:
    """The index that `draw` in [0, 1) falls on, by the inverse of the cumulative distribution.

    Never an index of probability 0. Raises ValueError when the probabilities are not a distribution.
    """
    cumulative = np.cumsum(probabilities)
    if not abs(cumulative[-1] - 1.0) < 1e-6 or float(np.min(probabilities)) < 0:
        raise ValueError(f"{probabilities} is not a distribution over operations; check the actor that returned it")
    index = int(np.searchsorted(cumulative, draw * cumulative[-1], side="right"))
    return min(index, int(np.flatnonzero(probabilities)[-1]))


async def run_episode(environment: Environment, actor: Actor, plan: EpisodePlan) -> Episode:
    """Run one episode to its horizon, or until a question fails for good."""
    return await _run(environment, actor, plan, environment.setting)


async def _run(environment: Environment, actor: Actor, plan: EpisodePlan, setting: str) -> Episode:
    identity = episode_id(plan.key, setting)
    states: list[State] = [start(plan.key.seed_id, plan.seed)]
    transitions: list[Transition] = []
    for number in range(HORIZON):
        probabilities = actor.probabilities(states[-1])
        index = choose(probabilities, plan.key.draw(number, "action"))
        transition, state = await step(
            environment, plan.key, states[-1], _OPERATIONS[index], float(probabilities[index]), episode=identity
        )
        if state is None:
            return Episode(identity, plan.key, tuple(states), tuple(transitions), failed=transition)
        transitions.append(transition)
        states.append(state)
    return Episode(identity, plan.key, tuple(states), tuple(transitions))


def stream_episodes(
    environment: Environment,
    actor: Actor,
    plans: Iterable[EpisodePlan],
    *,
    open_episodes: int = OPEN_EPISODES,
) -> AsyncGenerator[Episode]:
    """The episodes of `plans`, in the order of `plans`, with at most `open_episodes` open at once.

    `plans` may be longer than memory holds. When the reader stops, or an episode raises, the open ones are cancelled.
    """
    setting = environment.setting

    def run(plan: EpisodePlan) -> Coroutine[Any, Any, Episode]:
        return _run(environment, actor, plan, setting)

    return in_order(run, plans, open_episodes)


async def run_episodes(
    environment: Environment,
    actor: Actor,
    plans: Iterable[EpisodePlan],
    *,
    open_episodes: int = OPEN_EPISODES,
    on_episode: Callable[[Episode], object] | None = None,
) -> list[Episode]:
    """Every episode of `plans` in canonical (seed, episode) order. For batches that fit in memory.

    `on_episode` hears of each as it is done.
    """
    ordered = sorted(plans, key=lambda plan: plan.key.order)
    episodes: list[Episode] = []
    async with aclosing(stream_episodes(environment, actor, ordered, open_episodes=open_episodes)) as stream:
        async for episode in stream:
            episodes.append(episode)
            if on_episode:
                on_episode(episode)
    return episodes
