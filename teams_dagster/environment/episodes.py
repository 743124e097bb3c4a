"""Many episodes at once. Each advances on its own: nothing waits for the slowest answer of a step."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from teams_dagster.core.instruction import Instruction
from teams_dagster.environment.decisions import Actor, Decider, Decision, Drawing
from teams_dagster.environment.state import (
    HORIZON,
    Episode,
    EpisodeKey,
    State,
    Transition,
    episode_id,
    transition_id,
)
from teams_dagster.environment.transition import Environment, start, step, unasked
from teams_dagster.llm.ordered import in_order

OPEN_EPISODES = 512
"""Episodes that are started and not yet handed over, at most: memory does not grow with their number."""

OPEN_FOR_EACH = 4
"""Episodes that are open for each query that may be under way: some wait before they try again, or for each other."""


def open_episodes_for(max_in_flight: int) -> int:
    """How many episodes to have open where `max_in_flight` queries may be under way.

    More would all end together, late, and until then nothing tells how far the step is.
    """
    return min(OPEN_EPISODES, OPEN_FOR_EACH * max_in_flight)


@dataclass(frozen=True)
class EpisodePlan:
    """An episode that is to be run: its key and the seed it starts from."""

    key: EpisodeKey
    seed: Instruction
    begin: State | None = None
    """Where a branch of an earlier episode begins; None: at the seed."""
    until: int = HORIZON
    """The step at which it stops."""

    @property
    def first(self) -> State:
        """The state that the episode starts from."""
        return self.begin or start(self.key.seed_id, self.seed, self.key.stream)


async def run_episode(environment: Environment, actor: Actor | Decider, plan: EpisodePlan) -> Episode:
    """Run one episode to its end, or until a query fails for good."""
    return await _run(environment, _decider(actor), plan, environment.setting)


def _decider(actor: Actor | Decider) -> Decider:
    return actor if isinstance(actor, Decider) else Drawing(actor)


async def _run(environment: Environment, decider: Decider, plan: EpisodePlan, setting: str) -> Episode:
    identity = episode_id(plan.key, setting)
    states: list[State] = [plan.first]
    transitions: list[Transition] = []
    for number in range(states[0].step, plan.until):
        decision = await decider.decide(environment, plan.key, states[-1], transition_id(identity, number))
        transition, state = await _take(environment, plan.key, states[-1], decision, identity)
        if state is None:
            return Episode(identity, plan.key, tuple(states), tuple(transitions), failed=transition)
        transitions.append(transition)
        states.append(state)
    return Episode(identity, plan.key, tuple(states), tuple(transitions))


async def _take(
    environment: Environment, key: EpisodeKey, state: State, decision: Decision, identity: str
) -> tuple[Transition, State | None]:
    """The transition that `decision` leads to; the next state is None when a query failed for good."""
    operation, probability = decision.operation, decision.probability
    if decision.failure is None:
        transition, following = await step(environment, key, state, operation, probability, episode=identity)
    else:
        transition, following = unasked(environment, key, state, operation, probability, identity), None
    return (
        transition.changed(
            failure=decision.failure or transition.failure,
            chosen_by=decision.chosen_by,
            proposed=decision.proposed,
            guide_request_id=decision.guide_request_id,
            unread_request_id=decision.unread_request_id,
            guidance_queries=decision.queries,
        ),
        following,
    )


def stream_episodes(
    environment: Environment,
    actor: Actor | Decider,
    plans: Iterable[EpisodePlan],
    *,
    open_episodes: int = OPEN_EPISODES,
) -> AsyncGenerator[Episode]:
    """The episodes of `plans`, in the order of `plans`, with at most `open_episodes` open at once.

    `plans` may be longer than memory holds. When the reader stops, or an episode raises, the open ones are cancelled.
    """
    setting, decider = environment.setting, _decider(actor)

    def run(plan: EpisodePlan) -> Coroutine[Any, Any, Episode]:
        return _run(environment, decider, plan, setting)

    return in_order(run, plans, open_episodes)


async def run_episodes(
    environment: Environment,
    actor: Actor | Decider,
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
