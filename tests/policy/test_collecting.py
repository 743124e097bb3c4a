"""Texts that several episodes of a seed reach: found in canonical order, and without gain in the advantage alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from teams_dagster.core.operations import Operation
from teams_dagster.environment.episodes import EpisodePlan, run_episodes
from teams_dagster.environment.reward import RewardConfig, RewardPreset
from teams_dagster.environment.state import Episode, EpisodeKey, EpisodePurpose
from teams_dagster.policy.algorithms.actor_critic import estimate
from teams_dagster.policy.algorithms.config import TRPOConfig
from teams_dagster.policy.baselines import Fixed
from teams_dagster.policy.collecting import Collected, batch_of, plan_batch, repeated, repeated_gains
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.encoder import FeatureConfig, encoder
from teams_dagster.policy.training import train
from tests.support import chain_world as chain
from tests.support.toy_world import ToyWorld, environment, topical_seeds

SEEDS = topical_seeds(2)
FIRST, SECOND = sorted(SEEDS)


def play(*episodes: tuple[str, int, Operation], reward: RewardConfig | None = None, world: ToyWorld | None = None):
    """Episodes, each from a seed, with its number and the operation that it always chooses."""
    found = []
    for seed_id, number, operation in episodes:
        key = EpisodeKey(0, EpisodePurpose.TRAIN, "fixed", "v", seed_id, number, iteration=0)
        plans = [EpisodePlan(key, SEEDS[seed_id])]
        found += asyncio.run(run_episodes(environment(world or ToyWorld(), reward), Fixed(operation), plans))
    return found


def test_what_an_earlier_episode_of_the_seed_reached_is_repeated() -> None:
    again = play((FIRST, 0, Operation.DEEPENING), (FIRST, 1, Operation.DEEPENING))
    assert repeated(again).tolist() == [[False] * 6, [True] * 6]


def test_another_text_and_another_seeds_are_no_repeats() -> None:
    other = play((FIRST, 0, Operation.DEEPENING), (FIRST, 1, Operation.CONCRETIZING), (SECOND, 0, Operation.DEEPENING))
    assert not repeated(other).any()


def test_a_refused_edit_repeats_nothing() -> None:
    refusing = ToyWorld(lambda before, operation: False)
    again = play((FIRST, 0, Operation.DEEPENING), (FIRST, 1, Operation.DEEPENING), world=refusing)
    assert not repeated(again).any()


@pytest.mark.parametrize(("preset", "gain"), [(RewardPreset.GRADED, 1.0), (RewardPreset.PAPER, 1.0)])
def test_a_repeat_loses_what_it_earned_and_keeps_what_it_cost(preset: RewardPreset, gain: float) -> None:
    reward = RewardConfig(preset=preset)
    again = play((FIRST, 0, Operation.DEEPENING), (FIRST, 1, Operation.DEEPENING), reward=reward)
    gains = repeated_gains(again, reward)
    assert gains[0].tolist() == [0.0] * 6
    assert gains[1] == pytest.approx([gain] * 6)
    left = again[1].transitions[0].reward - gains[1, 0]
    assert left == pytest.approx(-2 * reward.price if preset is RewardPreset.GRADED else 0.0)


def test_rewards_stay_as_they_are_and_the_advantage_takes_the_gain_away() -> None:
    again = play((FIRST, 0, Operation.DEEPENING), (FIRST, 1, Operation.DEEPENING))
    config = TrainingConfig(episodes_per_seed=2)
    batch = batch_of(Collected(tuple(again), ()), encoder(FeatureConfig()), config)
    assert batch.rewards[0].tolist() == batch.rewards[1].tolist()
    assert batch.repeated_gains is not None
    assert batch.repeated_gains[1].min() > 0.9


def test_with_one_episode_a_seed_nothing_is_taken_from_the_advantage() -> None:
    again = play((FIRST, 0, Operation.DEEPENING), (FIRST, 1, Operation.DEEPENING))
    assert batch_of(Collected(tuple(again), ()), encoder(FeatureConfig()), TrainingConfig()).repeated_gains is None


def test_advantages_are_those_of_the_rewards_without_repeats() -> None:
    algorithm = chain.algorithm_of(TRPOConfig(), 0)
    learner = chain.learner_of(TRPOConfig())
    batch = chain.batch_for(algorithm, learner, chain.optimal(), 0, 0, episodes=8)
    gains = torch.where(batch.valid, 0.25, 0.0).to(batch.rewards.dtype)
    one = estimate(learner, replace(batch, repeated_gains=gains), "learner")
    other = estimate(learner, replace(batch, rewards=batch.rewards - gains), "learner")
    assert torch.equal(one.gae, other.gae)
    assert not torch.equal(one.gae, estimate(learner, batch, "learner").gae)


def test_a_batch_has_several_episodes_of_each_seed_that_differ_in_their_number() -> None:
    plans = plan_batch(topical_seeds(40), count=32, root_seed=0, iteration=0, policy="trained", version="v", of_each=4)
    seeds, counts = np.unique([plan.key.seed_id for plan in plans], return_counts=True)
    assert (len(seeds), set(counts)) == (8, {4})
    assert len({plan.key.order for plan in plans}) == 32


def test_a_training_records_how_many_edits_repeated_another_episode(tmp_path: Path) -> None:
    config = TrainingConfig(iterations=1, episodes_per_seed=8, hidden=(4,))
    kept: list[Episode] = []

    def keep(number: int, episodes: Sequence[Episode]) -> None:
        kept.extend(episodes)

    made = asyncio.run(
        train(ToyWorld(), topical_seeds(8), config, tmp_path / "p", sink=keep, progress=lambda line: None)
    )
    assert made.curve[0].repeated == repeated(kept).sum() > 0


def test_episodes_of_a_seed_that_do_not_fill_a_batch_are_refused_with_both_numbers() -> None:
    with pytest.raises(ValueError, match="episodes_per_seed is 3, which does not divide the 32 episodes"):
        TrainingConfig(episodes_per_seed=3)


def test_a_training_with_one_episode_a_seed_is_written_as_it_always_was() -> None:
    assert "episodes_per_seed" not in TrainingConfig().model_dump()
    assert TrainingConfig.model_validate(TrainingConfig(episodes_per_seed=2).model_dump()).episodes_per_seed == 2
