"""Episodes to an equal number of queries: each policy may ask so many from each evaluation seed.

Episodes are begun while the allowance lasts, and run to their end. Figures per query count transitions up to the
allowance; figures per episode count every episode that was begun. A query counts whether it is paid or reused, and
so do those that a policy asks in order to choose.

The uniform arm plays until it has asked as many as another policy, no more, and at most one fewer (two where verdicts
are taken in both orders). A transition's rewrite and reviews are not divided: where one query is left and the next
transition needs two, it stays unasked.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.words import length_in_words
from teams_dagster.environment.decisions import Actor, Decider
from teams_dagster.environment.episodes import OPEN_EPISODES, EpisodePlan, run_episode
from teams_dagster.environment.state import Episode, EpisodeKey, EpisodePurpose, Transition
from teams_dagster.environment.transition import Environment
from teams_dagster.llm.ordered import in_order

_INDEX = {operation: index for index, operation in enumerate(Operation)}


@dataclass(frozen=True)
class Allowance:
    """What a policy may ask from each evaluation seed."""

    questions: int
    an_episode: int
    """Queries that one episode needs at most."""

    @property
    def episodes(self) -> int:
        """Episodes at most, twice as many as could ask all they need: a policy that asks nothing would never end."""
        return max(1, 2 * self.questions // self.an_episode)


@dataclass(frozen=True)
class Player:
    """A policy under one of its training seeds."""

    name: str
    version: str
    decider: Actor | Decider
    deterministic: bool


@dataclass(frozen=True)
class SeedPlay:
    """What a policy did from one evaluation seed."""

    seed: Instruction
    episodes: tuple[Episode, ...]
    """Those that were run."""
    repeats: int
    """How often the episodes were begun: 1, or more for a policy whose episodes are all alike."""
    questions: int
    """Its allowance."""

    def within(self) -> Iterator[Transition]:
        """The transitions up to the allowance, in their order."""
        played = (t for _ in range(self.repeats) for episode in self.episodes for t in episode.recorded)
        return within_allowance(played, self.questions)


def within_allowance(transitions: Iterable[Transition], questions: int) -> Iterator[Transition]:
    """The transitions before the first whose queries would be more than are allowed."""
    asked = 0
    for transition in transitions:
        asked += transition.queries + transition.guidance_queries
        if asked > questions:
            return
        yield transition


async def play(
    environment: Environment,
    player: Player,
    seeds: Mapping[str, Instruction],
    allowance: Allowance,
    root_seed: int,
    on_episode: Callable[[Episode], object] | None = None,
) -> AsyncIterator[tuple[str, SeedPlay]]:
    """What `player` does from each of `seeds` (by id), in the ids' order. Seeds are played side by side."""

    def one(seed_id: str) -> Coroutine[Any, Any, SeedPlay]:
        return play_seed(environment, player, seed_id, seeds[seed_id], allowance, root_seed, on_episode)

    ids = sorted(seeds)
    async with aclosing(in_order(one, ids, OPEN_EPISODES)) as plays:
        for seed_id in ids:
            yield seed_id, await anext(plays)


async def play_seed(
    environment: Environment,
    player: Player,
    seed_id: str,
    seed: Instruction,
    allowance: Allowance,
    root_seed: int,
    on_episode: Callable[[Episode], object] | None = None,
) -> SeedPlay:
    """What `player` does from one seed."""
    episodes: list[Episode] = []
    asked, begun = 0, 0
    while asked < allowance.questions and begun < allowance.episodes:
        if not (player.deterministic and episodes):
            key = EpisodeKey(
                root_seed=root_seed,
                purpose=EpisodePurpose.COMPARE,
                policy=player.name,
                policy_version=player.version,
                seed_id=seed_id,
                episode=begun,
            )
            episodes.append(await run_episode(environment, player.decider, EpisodePlan(key, seed)))
            if on_episode:
                on_episode(episodes[-1])
        asked += episodes[-1].queries
        begun += 1
    return SeedPlay(seed, tuple(episodes), begun if player.deterministic else 1, allowance.questions)


@dataclass(frozen=True)
class Results:
    """A contender's results per training seed and evaluation seed: arrays of shape (T, N), or (T, N, operations)."""

    returns: np.ndarray
    """Mean over episodes."""
    accepted_an_episode: np.ndarray
    """Mean over episodes."""
    accepted: np.ndarray
    """Within the allowance, like all that follows."""
    distinct: np.ndarray
    """Accepted texts that differ."""
    queries: np.ndarray
    allowed: np.ndarray
    """Queries that it might have asked."""
    rewrites: np.ndarray
    """Edits asked for."""
    growth: np.ndarray
    """Sum over accepted texts of their words over their seed's."""
    operations: np.ndarray
    """How often each was chosen, in the order of `Operation`."""


def results_of(plays: Sequence[Mapping[str, SeedPlay]]) -> Results:
    """Add up what a contender did: one mapping from seed id to play for each training seed."""
    rows = [[_counted(play) for _, play in sorted(by_seed.items())] for by_seed in plays]
    numbers = np.array([[row[0] for row in line] for line in rows], dtype=np.float64)
    returns, accepted_an_episode, accepted, distinct, queries, allowed, rewrites, growth = np.moveaxis(numbers, -1, 0)
    return Results(
        returns=returns,
        accepted_an_episode=accepted_an_episode,
        accepted=accepted,
        distinct=distinct,
        queries=queries,
        allowed=allowed,
        rewrites=rewrites,
        growth=growth,
        operations=np.array([[row[1] for row in line] for line in rows], dtype=np.float64),
    )


def _counted(play: SeedPlay) -> tuple[tuple[float, ...], np.ndarray]:
    operations = np.zeros(len(Operation))
    accepted, queries, rewrites, growth = 0, 0, 0, 0.0
    texts: set[str] = set()
    words = _words(play.seed)
    for transition in play.within():
        queries += transition.queries + transition.guidance_queries
        if isinstance(transition.operation, Operation):
            operations[_INDEX[transition.operation]] += 1
        rewrites += transition.operation is not Operation.NONE
        if transition.accepted and transition.after is not None:
            accepted += 1
            growth += _words(transition.after) / words
            texts.add(transition.after.instruction_id)
    episodes = len(play.episodes)
    mean_return = sum(episode.total_reward for episode in play.episodes) / episodes
    mean_accepted = sum(episode.accepted for episode in play.episodes) / episodes
    counted = (accepted, len(texts), queries, play.questions, rewrites, growth)
    return (mean_return, mean_accepted, *counted), operations


def _words(instruction: Instruction) -> float:
    return max(1, length_in_words(instruction.text) + length_in_words(instruction.input))


async def play_until_asked(
    play: Callable[[EpisodePlan], Coroutine[Any, Any, Episode]],
    plans: Iterable[EpisodePlan],
    questions: int,
    an_episode: int,
    *,
    open_episodes: int = OPEN_EPISODES,
) -> AsyncGenerator[Episode]:
    """Episodes in the order of `plans`, the last one cut where the `questions` end. `plans` may be endless.

    Never are more episodes begun than could be paid for with what is left, so that next to nothing is asked in vain.
    Ends early where `plans` end, and where a round of episodes asks nothing.

    Args:
        play: Plays one.
        plans: What is played.
        questions: How many are asked in all.
        an_episode: Queries that one needs at most.
        open_episodes: How many are played at once.
    """
    left, waiting = questions, iter(plans)
    while left > 0:
        round_of = islice(waiting, max(1, left // an_episode))
        before = left
        async with aclosing(in_order(play, round_of, open_episodes)) as stream:
            async for episode in stream:
                kept = first_questions(episode, left)
                left -= kept.queries
                if kept.recorded:
                    yield kept
                if kept is not episode:
                    return
        if left == before:
            return


def first_questions(episode: Episode, questions: int) -> Episode:
    """`episode` up to its last transition within so many queries: itself where it asks no more."""
    kept = tuple(within_allowance(episode.recorded, questions))
    if len(kept) == len(episode.recorded):
        return episode
    return replace(episode, states=episode.states[: len(kept) + 1], transitions=kept, failed=None)
