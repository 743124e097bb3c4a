"""What is trained for a comparison."""

from __future__ import annotations

import pytest

from teams_dagster.core.protocol import Role
from teams_dagster.environment.reward import DollarReward, RewardConfig, RewardPreset
from teams_dagster.policy.algorithms.config import BCConfig, PPOConfig
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.compare import ComparisonConfig
from teams_dagster.policy.comparison.contenders import TRAINED_BY_GRADED
from teams_dagster.policy.comparison.forecast import trained_episodes
from teams_dagster.policy.comparison.plan import (
    COMPARED,
    GUIDES,
    ComparisonPlan,
    Guide,
    by_algorithm,
    compared_algorithm,
    compared_name,
)
from teams_dagster.policy.comparison.share import Training
from teams_dagster.policy.config import TrainingConfig
from tests.support.token_prices import generation_prices

DOLLARS = DollarReward(prices=generation_prices())


def by_graded(**options) -> RewardConfig:
    """The reward of the policy trained by `graded` beside one that was trained by dollars with these options."""
    reward = RewardConfig(preset=RewardPreset.DOLLARS, dollars=DOLLARS, **options)
    return Training(TRAINED_BY_GRADED, TrainingConfig(reward=reward)).ablated().config.reward


def test_the_policy_trained_by_graded_differs_in_nothing_but_the_preset():
    options = {"both_orders": True, "soft": True, "saturation": 0.2, "price": 0.05}
    assert by_graded(**options) == RewardConfig(**options)


def test_a_price_that_graded_cannot_count_is_refused_by_name():
    refusal = r"trained_by_graded cannot be trained: .*`price` 0\.4.* out of `ablations`, or .* `price` below 0\.33"
    with pytest.raises(ValueError, match=refusal) as refused:
        by_graded(price=0.4, both_orders=True)
    assert "validation error" not in str(refused.value)


DEPLOYED = TrainingConfig(patience=8)


def plan(training_seeds: int = 5) -> ComparisonPlan:
    """All of them."""
    return ComparisonPlan(ComparisonConfig(), training_seeds, (UNIFORM,), (), tuple(COMPARED), GUIDES)


def test_each_is_trained_with_as_many_queries_as_the_policy_was():
    most = DEPLOYED.expected_queries
    for name, training in by_algorithm(DEPLOYED, COMPARED, ["model"]).items():
        assert 0.75 * most < training.expected_queries <= most, name
        assert training.patience == 0


def test_those_that_know_no_guide_are_trained_once_and_what_the_policy_was_trained_by_is_the_policy_itself():
    guided = [name for name in COMPARED if COMPARED[name].asks_guide]
    expected = {"trained_by_ppo", *(compared_name(name, guide) for name in guided for guide in GUIDES)}
    assert by_algorithm(DEPLOYED, COMPARED, GUIDES).keys() == expected
    assert "trained_by_trpo" in by_algorithm(TrainingConfig(algorithm=PPOConfig()), COMPARED, GUIDES)


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.parametrize("iterations", [8, 11, 26])
def test_whatever_algorithm_and_guide_a_policy_was_trained_by_it_is_not_trained_so_again(
    iterations: int, guide: Guide
) -> None:
    """Also where the queries of so many iterations, rounded, are enough for one fewer."""
    for name, algorithm in COMPARED.items():
        deployed = TrainingConfig.model_validate({"algorithm": algorithm, "guide": guide, "iterations": iterations})
        own = compared_name(name, guide if algorithm.asks_guide else "model")
        assert own not in by_algorithm(deployed, [name], [guide])


def test_a_policy_under_the_other_guide_is_trained():
    deployed = TrainingConfig(algorithm=BCConfig(), guide="look_ahead")
    assert by_algorithm(deployed, ["bc"], GUIDES).keys() == {"trained_by_bc"}


def test_a_look_ahead_guides_in_its_own_trainings_alone():
    found = by_algorithm(DEPLOYED, ["bc", "ppo"], GUIDES)
    assert {name: training.asks_guide for name, training in found.items()} == {
        "trained_by_ppo": False,
        "trained_by_bc": True,
        "trained_by_bc_under_look_ahead": False,
    }
    assert found["trained_by_bc_under_look_ahead"].iterations < found["trained_by_bc"].iterations


def test_the_name_of_a_policy_tells_its_algorithm_and_its_guide():
    for name in COMPARED:
        for guide in GUIDES:
            assert compared_algorithm(compared_name(name, guide)) == (name, guide)
    assert compared_algorithm("trained_by_graded") is None


def test_an_algorithm_that_the_queries_are_too_few_for_is_refused_by_name():
    with pytest.raises(ValueError, match="384 queries of the policy's training are too few for D2LOLS under guide"):
        by_algorithm(TrainingConfig(iterations=1), ["d2lols"], ["model"])


def test_a_plan_trains_as_many_of_each_asks_the_guide_and_counts_what_they_ask():
    roles = plan().roles(DEPLOYED)
    assert roles == (Role.INSTRUCTOR, Role.REVIEWER, Role.GUIDE)
    names = [training.name for training in plan().trainings(DEPLOYED)]
    assert names.count("trained") == 4
    assert {names.count(name) for name in names if name != "trained"} == {5}
    assert len({training.part for training in plan().trainings(DEPLOYED)}) == len(names)
    asked = sum(training.config.expected_queries for training in plan().trainings(DEPLOYED))
    assert 0.7 < 12 * trained_episodes(plan(), DEPLOYED) / asked <= 1


def test_a_plan_without_algorithms_is_written_as_it_always_was():
    alone = ComparisonPlan(ComparisonConfig(), 1, (UNIFORM,), ())
    assert alone.settings().keys() == {"config", "training_seeds", "baselines", "ablations"}
    assert alone.trainings(DEPLOYED) == []
