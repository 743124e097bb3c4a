"""As many questions as another policy asked, and not one more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.core.operations import Operation
from teams_dagster.environment.episodes import EpisodePlan, run_episode
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import Episode, EpisodeKey, EpisodePurpose
from teams_dagster.policy.baselines import Fixed, Uniform
from teams_dagster.policy.comparison.playing import first_questions, play_until_asked
from tests.support.properties import example_count
from tests.support.toy_world import ToyWorld, environment, topical_seeds

SEEDS = topical_seeds(5)


def plans(root_seed: int = 0) -> Iterator[EpisodePlan]:
    for number in count():
        for seed_id, seed in SEEDS.items():
            key = EpisodeKey(
                root_seed,
                EpisodePurpose.GENERATE,
                "uniform",
                "u",
                seed_id,
                episode=number,
                partition_key="w",
                replica=number,
            )
            yield EpisodePlan(key, seed)


def played(
    questions: int, root_seed: int = 0, actor=None, world: ToyWorld | None = None, reward: RewardConfig | None = None
) -> list[Episode]:
    async def all_of() -> list[Episode]:
        there = environment(world or ToyWorld(), reward)
        play, an_episode = partial(run_episode, there, actor or Uniform()), there.reward.queries_an_episode
        return [e async for e in play_until_asked(play, plans(root_seed), questions, an_episode)]

    return asyncio.run(all_of())


@settings(max_examples=example_count(25))
@given(questions=st.integers(0, 150), root_seed=st.integers(0, 20))
def test_all_questions_are_asked_but_one_that_has_no_room_for_its_review(questions: int, root_seed: int):
    asked = sum(episode.queries for episode in played(questions, root_seed))
    assert questions - 1 <= asked <= questions


@settings(max_examples=example_count(10))
@given(fewer=st.integers(1, 60), more=st.integers(60, 120))
def test_a_smaller_allowance_is_the_beginning_of_a_larger_one(fewer: int, more: int):
    short, long = ([t.transition_id for e in played(n) for t in e.recorded] for n in (fewer, more))
    assert short == long[: len(short)]


def test_where_all_seeds_were_played_further_rounds_ask_for_other_answers():
    episodes = [episode.key for episode in played(100)]
    assert [key.seed_id for key in episodes[:5]] == list(SEEDS)
    assert episodes[5].seed_id == episodes[0].seed_id
    assert episodes[5].replica != episodes[0].replica


def test_hardly_anything_is_asked_in_vain():
    world = ToyWorld()
    played(100, world=world)
    assert sum(world.asked.values()) <= 100 + RewardConfig().queries_an_episode


def test_in_both_orders_as_many_are_asked_but_two_and_hardly_any_in_vain():
    world, both = ToyWorld(), RewardConfig(both_orders=True)
    asked = sum(episode.queries for episode in played(100, world=world, reward=both))
    assert 98 <= asked <= 100
    assert sum(world.asked.values()) <= 100 + both.queries_an_episode


def test_a_policy_that_asks_nothing_comes_to_an_end():
    assert sum(episode.queries for episode in played(50, actor=Fixed(Operation.NONE))) == 0


def test_an_episode_that_fits_is_left_as_it_is_and_another_is_cut():
    [episode] = played(12)[:1]
    assert first_questions(episode, episode.queries) is episode
    cut = first_questions(episode, 3)
    assert cut.queries <= 3
    assert len(cut.states) == len(cut.transitions) + 1
