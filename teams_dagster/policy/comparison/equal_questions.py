"""Episodes of a policy until it has asked as many questions as another: no more, and at most one fewer.

A transition's rewrite and review are not divided: where one question is left and the next transition needs two, it
stays unasked.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace
from itertools import islice

from teams_dagster.environment.decisions import Actor, Decider
from teams_dagster.environment.episodes import OPEN_EPISODES, EpisodePlan, stream_episodes
from teams_dagster.environment.state import HORIZON, Episode
from teams_dagster.environment.transition import Environment
from teams_dagster.policy.comparison.playing import within_allowance

MOST_ASKED = 2 * HORIZON
"""Questions of one episode at most: a rewrite and a review at each step."""


async def play_until_asked(
    environment: Environment,
    actor: Actor | Decider,
    plans: Iterable[EpisodePlan],
    questions: int,
    *,
    open_episodes: int = OPEN_EPISODES,
) -> AsyncGenerator[Episode]:
    """Episodes in the order of `plans`, the last one cut where the `questions` end. `plans` may be endless.

    Never are more episodes begun than could be paid for with what is left, so that next to nothing is asked in vain.
    Ends early where `plans` end, and where a round of episodes asks nothing.
    """
    left, waiting = questions, iter(plans)
    while left > 0:
        round_of = islice(waiting, max(1, left // MOST_ASKED))
        before = left
        async with aclosing(stream_episodes(environment, actor, round_of, open_episodes=open_episodes)) as stream:
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
    """`episode` up to its last transition within so many questions: itself where it asks no more."""
    kept = tuple(within_allowance(episode.recorded, questions))
    if len(kept) == len(episode.recorded):
        return episode
    return replace(episode, states=episode.states[: len(kept) + 1], transitions=kept, failed=None)
