"""The reward presets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Usage
from teams_dagster.environment.reward import DollarReward, RewardConfig, RewardPreset, novelty, reward
from teams_dagster.instructions.novelty import Pool
from tests.support.token_prices import generation_prices
from tests.support.toy_world import fresh_words

GRADED = RewardConfig(preset=RewardPreset.GRADED, saturation=0.2, price=0.1)
PAPER = RewardConfig(preset=RewardPreset.PAPER)
PRICES = generation_prices((2_500, 10_000), (150, 600))
DOLLARS = RewardConfig(
    preset=RewardPreset.DOLLARS, saturation=0.2, dollars=DollarReward(prices=PRICES, edit_worth_usd=0.01)
)


def test_paper_is_the_binary_verdict():
    assert reward(PAPER, accepted=True, novelty=0.01, queries=2) == 1.0
    assert reward(PAPER, accepted=False, novelty=None, queries=2) == 0.0


def test_graded_pays_for_novelty_up_to_saturation_less_the_price_of_the_questions():
    assert reward(GRADED, accepted=True, novelty=0.1, queries=2) == pytest.approx(0.5 - 0.2)
    assert reward(GRADED, accepted=True, novelty=0.9, queries=2) == pytest.approx(1.0 - 0.2)
    assert reward(GRADED, accepted=False, novelty=None, queries=1) == pytest.approx(-0.1)


def test_asking_nothing_earns_and_costs_nothing():
    assert reward(GRADED, accepted=False, novelty=None, queries=0) == 0.0
    assert reward(PAPER, accepted=False, novelty=None, queries=0) == 0.0


def test_an_accepted_edit_without_its_novelty_is_an_error():
    for config in (GRADED, DOLLARS):
        with pytest.raises(ValueError, match=f"preset `{config.preset}` pays for novelty"):
            reward(config, accepted=True, novelty=None, queries=2, nano_usd=1)


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_novelty_never_earns_less(first, second):
    low, high = sorted((first, second))
    rewards = [reward(GRADED, accepted=True, novelty=d, queries=2) for d in (low, high)]
    assert rewards[0] <= rewards[1]


def test_novelty_is_measured_to_the_nearest_text_of_chain_and_pool():
    seed = Instruction("Explain why bread dough rises in a warm place")
    other = Instruction("List three rivers of Asia")
    assert novelty(other, [seed], Pool([])) > 0.9
    assert novelty(other, [seed, other], Pool([])) == 0.0
    assert novelty(other, [seed], Pool([other])) == 0.0


@pytest.mark.parametrize("words", [8, 20, 40, 70])
def test_a_ten_word_edit_saturates_and_a_new_text_earns_no_more(words):
    config, pool = RewardConfig(), Pool([])
    before = Instruction(" ".join(f"word{n}" for n in range(words)))
    edited = Instruction(f"{before.text} {fresh_words(before, Operation.DEEPENING)}")
    replaced = Instruction(" ".join(f"new{n}" for n in range(words)))
    earned = [
        reward(config, accepted=True, novelty=novelty(after, [before], pool), queries=2) for after in (edited, replaced)
    ]
    assert earned[0] == earned[1] == pytest.approx(1 - 2 * config.price)


def test_dollars_cost_what_the_tokens_would_in_a_generation_in_units_of_what_an_edit_is_worth():
    """400 x $2.50 and 100 x $10 a million for the rewrite, 500 x $0.15 and 5 x $0.60 for the review: $0.002078."""
    cost = DOLLARS.edit_cost(Usage(400, 0, 100), [Usage(500, 0, 5)])
    assert cost == 2_078_000
    assert reward(DOLLARS, accepted=True, novelty=0.1, queries=2, nano_usd=cost) == pytest.approx(0.5 - 0.2078)
    assert reward(DOLLARS, accepted=False, novelty=None, queries=2, nano_usd=cost) == pytest.approx(-0.2078)


def test_under_dollars_a_query_that_was_not_asked_costs_nothing():
    assert DOLLARS.edit_cost(None, []) == 0
    assert DOLLARS.edit_cost(Usage(400, 0, 100), []) == 2_000_000


def test_what_a_cache_held_makes_no_edit_cheaper():
    """Otherwise a reward would depend on what was asked before."""
    assert DOLLARS.edit_cost(Usage(400, 400, 100), []) == DOLLARS.edit_cost(Usage(400, 0, 100), [])


def test_under_dollars_an_edit_whose_tokens_are_not_known_earns_and_costs_nothing():
    assert DOLLARS.edit_cost(Usage(400, 0, None), []) is None
    assert reward(DOLLARS, accepted=True, novelty=0.9, queries=2, nano_usd=None) == 0.0


def test_a_reward_without_dollars_is_written_as_it_always_was():
    """So that the version of a policy trained before they existed stays."""
    assert set(GRADED.model_dump()) == {"preset", "saturation", "price"}
    assert RewardConfig.model_validate(DOLLARS.model_dump(mode="json")) == DOLLARS


@pytest.mark.parametrize(
    ("preset", "options"), [("paper", {}), ("dollars", {"dollars": {"prices": PRICES.model_dump()}})]
)
def test_a_price_per_query_is_looked_at_where_the_preset_counts_it(preset, options):
    """Three queries at 0.4 would cost more than an edit earns under `graded`."""
    values = {"price": 0.4, "both_orders": True}
    assert RewardConfig(preset=preset, **values, **options).price == 0.4
    with pytest.raises(ValidationError, match=r"preset `graded`: price 0\.4 for each of the 3 queries"):
        RewardConfig(preset=RewardPreset.GRADED, **values)


def test_dollars_and_their_prices_come_together():
    with pytest.raises(ValidationError, match="preset `dollars` needs `dollars`, the prices"):
        RewardConfig(preset=RewardPreset.DOLLARS)
    with pytest.raises(ValidationError, match="preset `graded` counts no dollars: leave `dollars` out"):
        RewardConfig(dollars=DollarReward(prices=PRICES))
