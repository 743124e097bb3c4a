"""What is trained for a comparison."""

from __future__ import annotations

import pytest

from teams_dagster.environment.reward import DollarReward, RewardConfig, RewardPreset
from teams_dagster.policy.comparison.contenders import TRAINED_BY_GRADED
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
