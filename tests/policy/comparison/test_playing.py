"""Episodes to an equal number of questions."""

import asyncio

import numpy as np
import pytest

from teams_dagster.core.operations import Operation
from teams_dagster.policy.baselines import Fixed, RoundRobin, Uniform
from teams_dagster.policy.comparison.playing import Allowance, Player, play, results_of
from tests.support.toy_world import ToyWorld, environment, topical, topical_seeds

SEEDS = topical_seeds(5)


def played(decider, questions=36, world=None, *, deterministic=False, root_seed=0):
    player = Player("somebody", "v", decider, deterministic)

    async def collect():
        place = environment(world or ToyWorld(topical))
        return {name: found async for name, found in play(place, player, SEEDS, Allowance(questions, 12), root_seed)}

    return asyncio.run(collect())


def test_episodes_are_begun_while_the_allowance_lasts_and_run_to_their_end():
    for questions, episodes in ((12, 1), (13, 2), (24, 2), (36, 3)):
        assert {len(found.episodes) for found in played(Uniform(), questions).values()} == {episodes}


def test_only_questions_inside_the_allowance_count():
    for found in played(Uniform(), 30).values():
        within = list(found.within())
        assert sum(transition.queries for transition in within) == 30
        assert len(within) == 15
        assert sum(len(episode.transitions) for episode in found.episodes) == 18


def test_a_policy_whose_episodes_are_alike_runs_one_and_counts_them_all():
    repeated = played(RoundRobin(), deterministic=True)
    plain = played(RoundRobin())
    for name, found in repeated.items():
        assert (len(found.episodes), found.repeats) == (1, 3)
        assert [t.operation for t in found.within()] == [t.operation for t in plain[name].within()]
    np.testing.assert_array_equal(results_of([repeated]).accepted, results_of([plain]).accepted)


def test_a_policy_that_asks_nothing_comes_to_an_end():
    assert {len(found.episodes) for found in played(Fixed(Operation.NONE)).values()} == {6}


def test_seeds_are_played_side_by_side():
    world = ToyWorld(delay=0.001)
    played(Uniform(), world=world)
    assert world.most_in_flight == len(SEEDS)


def test_growth_is_the_length_of_accepted_texts_over_their_seeds():
    found = results_of([played(Fixed(Operation.DEEPENING), 12)])
    deepened = found.accepted[0] > 0
    assert deepened.sum() == 2
    words = len(next(iter(SEEDS.values())).text.split())
    steps = np.arange(1, 7)
    expected = ((words + 10 * steps) / words).sum()
    np.testing.assert_allclose(found.growth[0][deepened], expected)
    assert found.growth[0][~deepened].sum() == 0


def test_an_allowance_of_nothing_is_one_episode():
    assert Allowance(0, 12).episodes == 1


@pytest.mark.parametrize("root_seed", [0, 1])
def test_draws_belong_to_the_root_seed(root_seed):
    first, again, other = (
        [[t.operation for t in found.within()] for found in played(Uniform(), root_seed=seed).values()]
        for seed in (root_seed, root_seed, root_seed + 10)
    )
    assert first == again != other
