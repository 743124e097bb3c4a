"""Many episodes at once."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import Purpose
from teams_dagster.environment.decisions import choose
from teams_dagster.environment.episodes import EpisodePlan, run_episode, run_episodes, stream_episodes
from teams_dagster.environment.state import HORIZON, EpisodeKey, EpisodePurpose
from teams_dagster.policy.baselines import Fixed, RoundRobin, Uniform
from tests.support.toy_world import ToyWorld, environment, topical, topical_seeds
from tests.support.virtual_time import run_in_virtual_time


def plans(count=12, episodes=1, **changes):
    fields = {"root_seed": 0, "purpose": EpisodePurpose.COMPARE, "policy": "uniform", "policy_version": "v"} | changes
    return [
        EpisodePlan(EpisodeKey(**fields, seed_id=seed_id, episode=episode), seed)
        for seed_id, seed in topical_seeds(count).items()
        for episode in range(episodes)
    ]


def run(world, actor=None, wanted=None, **options):
    return asyncio.run(run_episodes(environment(world), actor or Uniform(), wanted or plans(), **options))


def test_an_episode_takes_its_whole_horizon():
    (episode,) = run(ToyWorld(), RoundRobin(), plans(1))
    assert [transition.operation for transition in episode.transitions] == list(TEXT_OPERATIONS)
    assert len(episode.states) == HORIZON + 1
    assert episode.queries == 2 * HORIZON
    assert episode.accepted == HORIZON


def test_episodes_are_the_same_at_any_concurrency_and_in_any_order_of_answers():
    reference = run(ToyWorld(topical), wanted=plans(20, 2), open_episodes=1)
    scrambled = run(ToyWorld(topical, delay=0.01), wanted=plans(20, 2)[::-1], open_episodes=40)
    assert scrambled == reference
    assert [episode.key.order for episode in reference] == sorted(episode.key.order for episode in reference)


def test_episodes_advance_without_waiting_for_each_other():
    slow = next(iter(topical_seeds(1).values())).text
    moments: list[tuple[bool, int]] = []

    class Slow(ToyWorld):
        async def ask(self, request, **options):
            is_slow = request.intent.before.text.startswith(slow)
            await asyncio.sleep(0.05 if is_slow else 0)
            moments.append((is_slow, len(request.intent.before.text.split())))
            return await super().ask(request, **options)

    run_in_virtual_time(lambda _: run_episodes(environment(Slow()), Uniform(), plans(5)))
    first_slow = next(index for index, (is_slow, _) in enumerate(moments) if is_slow)
    assert sum(not is_slow for is_slow, _ in moments[:first_slow]) == 4 * 2 * HORIZON


def test_open_episodes_are_bounded_and_plans_are_read_as_needed():
    world, read = ToyWorld(delay=0.001), 0

    def endless():
        nonlocal read
        for plan in plans(500):
            read += 1
            yield plan

    async def some():
        stream = stream_episodes(environment(world), Uniform(), endless(), open_episodes=7)
        taken = [await anext(stream) for _ in range(20)]
        await stream.aclose()
        return taken

    assert len(asyncio.run(some())) == 20
    assert 2 <= world.most_in_flight <= 7
    assert read <= 20 + 7


def test_a_failed_question_truncates_its_episode_and_no_other():
    doomed = plans(6)[2].seed.text
    world = ToyWorld(
        fails=lambda request: (
            request.intent.purpose is Purpose.REVIEW
            and request.intent.before.text.startswith(doomed)
            and request.intent.before.text != doomed
        )
    )
    episodes = run(world, Fixed(Operation.DEEPENING), plans(6))
    assert [episode.failed is not None for episode in episodes] == [False, False, True, False, False, False]
    cut = episodes[2]
    assert (len(cut.transitions), len(cut.states), len(cut.recorded)) == (1, 2, 2)
    assert cut.failed is not None
    assert cut.failed.failure == "review: server: toy failure"
    assert cut.queries == 4


def test_an_error_that_is_not_the_episodes_stops_everything():
    class Broke(ToyWorld):
        async def ask(self, request, **options):
            if sum(self.asked.values()) >= 5:
                raise RuntimeError("the budget is exhausted")
            return await super().ask(request, **options)

    with pytest.raises(RuntimeError, match="budget"):
        run(Broke(), wanted=plans(50))


def test_draws_belong_to_seed_episode_step_and_period():
    def operations(**changes):
        return [[t.operation for t in e.transitions] for e in run(ToyWorld(), wanted=plans(4, **changes))]

    assert operations() == operations(policy="other", policy_version="w")
    assert operations() != operations(root_seed=1)
    train = {"purpose": EpisodePurpose.TRAIN}
    assert operations(**train, iteration=0) != operations(**train, iteration=1)
    generate = {"purpose": EpisodePurpose.GENERATE}
    assert operations(**generate, partition_key="2026-01-04") != operations(**generate, partition_key="2026-01-11")


def test_one_episode_alone_is_the_one_of_the_batch():
    wanted = plans(3)
    alone = asyncio.run(run_episode(environment(ToyWorld()), Uniform(), wanted[1]))
    assert alone == run(ToyWorld(), wanted=wanted)[1]


def test_each_episode_is_told_as_it_is_done():
    told = []
    assert run(ToyWorld(), wanted=plans(20), on_episode=told.append) == told


@given(st.lists(st.floats(0, 1), min_size=7, max_size=7).filter(lambda x: sum(x) > 1e-3), st.floats(0, 0.9999999999))
def test_a_choice_never_falls_on_probability_zero(weights, draw):
    probabilities = np.array(weights) / sum(weights)
    assert probabilities[choose(probabilities, draw)] > 0


def test_choices_follow_the_probabilities():
    probabilities = np.array([0.0, 0.5, 0.0, 0.2, 0.3, 0.0, 0.0])
    counts = np.bincount([choose(probabilities, n / 1000) for n in range(1000)], minlength=7)
    assert counts == pytest.approx(1000 * probabilities, abs=1)


def test_what_is_no_distribution_is_an_error():
    with pytest.raises(ValueError, match="distribution"):
        choose(np.array([0.5, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0]), 0.3)
    with pytest.raises(ValueError, match="distribution"):
        choose(np.array([np.nan] * 7), 0.3)
