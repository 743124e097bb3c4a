"""Run configuration of policy training, as Dagster resolves it."""

import dagster as dg
import pytest
from pydantic import ValidationError

from assets.policy.config import PolicyConfig
from teams_dagster.core.protocol import Role
from teams_dagster.environment.reward import DollarReward, RewardConfig, RewardPreset
from teams_dagster.policy.algorithms.config import (
    ALGORITHMS,
    AdamCriticConfig,
    PPOConfig,
    PPOPlusPlusConfig,
    TRPOConfig,
)
from teams_dagster.policy.config import TrainingConfig, reference_training
from tests.support.token_prices import generation_prices

PRICES = generation_prices()
"""Of a generation."""


def resolved(**config):
    """The configuration that an asset receives for `config` in the Launchpad."""
    received = []

    @dg.asset
    def step(config: PolicyConfig) -> None:
        received.append(config)

    assert dg.materialize([step], run_config={"ops": {"step": {"config": config}}}).success
    return received[0].training(lambda: PRICES)


def test_without_anything_it_is_the_methods_own_default():
    assert resolved() == TrainingConfig()


def test_the_default_asks_ten_thousand_questions_at_most():
    default = resolved()
    asked = default.iterations * default.episodes_per_iteration * default.most_queries_an_episode
    assert 9_000 < asked <= 10_000


def test_an_algorithm_is_one_choice_with_its_own_parameters():
    found = resolved(algorithm={"ppo": {"clip": 0.1}}, critic={"adam": {"epochs": 3}})
    assert found.algorithm == PPOConfig(clip=0.1)
    assert found.critic == AdamCriticConfig(epochs=3)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_of_the_method_can_be_chosen(algorithm):
    assert resolved(algorithm={algorithm().name: {}}).algorithm == algorithm()


def test_a_guided_algorithm_moves_its_policy_by_the_step_it_names():
    found = resolved(algorithm={"ppo_plus_plus": {"beta": 0.5, "step": {"trpo": {"max_kl": 0.1}}}})
    assert found.algorithm == PPOPlusPlusConfig(beta=0.5, step=TRPOConfig(max_kl=0.1))
    assert found.roles == (Role.INSTRUCTOR, Role.REVIEWER, Role.GUIDE)


@pytest.mark.parametrize("name", ["ppo_plus_plus", "aggrevated", "lols", "d2lols", "bc", "dagger"])
def test_a_guides_queries_are_part_of_the_ten_thousand(name):
    found = resolved(algorithm={name: {}})
    assert found.asks_guide
    assert found.iterations < TrainingConfig().iterations
    steps = [found.algorithm.expected_steps(number, 6, 7) for number in range(found.iterations)]
    expected = found.episodes_per_iteration * sum(2 * step.everyone + step.guide + step.labels for step in steps)
    assert 0.75 * 10_000 < expected <= 10_000


def test_a_training_that_tries_every_choice_is_sized_by_what_it_is_likely_to_ask():
    assert resolved(algorithm={"aggrevated": {"form": "enumerated"}}).iterations >= 4


def test_a_look_ahead_guides_without_a_role_of_its_own_and_is_paid_for():
    found = resolved(algorithm={"bc": {}}, guide="look_ahead")
    assert found.roles == (Role.INSTRUCTOR, Role.REVIEWER)
    assert found.iterations < resolved(algorithm={"bc": {}}).iterations


def test_a_training_that_knows_no_guide_is_written_as_it_always_was():
    assert "guide" not in TrainingConfig().model_dump(mode="json")
    assert TrainingConfig(guide="look_ahead").model_dump(mode="json")["guide"] == "look_ahead"


def test_a_number_of_iterations_that_is_asked_for_is_taken():
    assert resolved(iterations=100).iterations == 100


def test_no_price_on_leaving_a_reference_unless_asked_for():
    assert resolved().kl_reference is None
    priced = resolved(kl_reference={"weight": 0.1, "target": 0.5}).kl_reference
    assert priced is not None
    assert (priced.weight, priced.target) == (0.1, 0.5)


def test_what_cannot_be_is_refused_before_anything_is_asked():
    with pytest.raises((ValidationError, dg.DagsterInvalidConfigError)):
        resolved(algorithm={"ppo": {"clip": -1}})
    with pytest.raises(dg.DagsterInvalidConfigError):
        resolved(algorithm={"sarsa": {}})


def test_a_reward_in_dollars_has_the_prices_of_a_generation_and_what_an_edit_is_worth():
    dollars = DollarReward(prices=PRICES, edit_worth_usd=0.02)
    assert resolved(reward="dollars", edit_worth_usd=0.02).reward == RewardConfig(
        preset=RewardPreset.DOLLARS, dollars=dollars
    )
    assert resolved(edit_worth_usd=0.02) == TrainingConfig()


def test_the_preset_reference_takes_nothing_else_but_its_root_seed_and_how_many_updates():
    assert resolved(preset="reference", root_seed=3) == reference_training(3)
    assert resolved(preset="reference", iterations=7).iterations == 7


@pytest.mark.parametrize(
    ("name", "value"), [("gamma", 0.5), ("reward", "dollars"), ("soft", True), ("algorithm", {"ppo": {}})]
)
def test_the_preset_reference_refuses_by_name_what_it_would_not_follow(name, value):
    with pytest.raises(
        ValueError, match=rf"preset `reference` takes `root_seed` and `iterations` alone, and {name} was"
    ):
        resolved(preset="reference", **{name: value})
