"""Compared policies in dollars of a generation."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Purpose, Request, Usage
from teams_dagster.policy.baselines import Fixed, Uniform
from teams_dagster.policy.comparison.compare import Comparison, ComparisonConfig
from teams_dagster.policy.comparison.dollars import DOLLARS_EACH, NOVELTY_PER_DOLLAR, Spending, dollar_measures
from teams_dagster.pricing.generation_prices import GenerationPrices
from tests.policy.comparison.test_compare import run
from tests.support.token_prices import generation_prices
from tests.support.toy_world import ToyWorld

PRICES = generation_prices((1_000, 1_000), (100, 100))
ONE_EPISODE = ComparisonConfig(resamples=200, questions_per_seed=12)
"""From each seed: no text is reached again."""


def tokens(request: Request) -> Usage:
    """Deepening takes ten times the tokens of another rewrite; a review takes 50."""
    if request.intent.purpose is Purpose.REVIEW:
        return Usage(40, 0, 10)
    return Usage(1_000 if request.intent.operation is Operation.DEEPENING else 100, 0, 0)


def compared(
    trained: Operation, usage: Callable[[Request], Usage] = tokens, prices: GenerationPrices | None = PRICES
) -> tuple[Comparison, dict[tuple[str, str], float]]:
    """A policy that always chooses one operation beside uniform, in a world where every edit is accepted."""
    spending = Spending(prices)
    found = run([Fixed(trained)], ToyWorld(usage=usage), names=[], config=ONE_EPISODE, sink=spending.keep)
    measures = dollar_measures(found.results, spending.spent(), found.resamples)
    return found, {(each.policy, each.metric): float(each.values[0]) for each in measures}


def test_an_edit_costs_the_tokens_of_its_rewrite_and_review_at_their_prices() -> None:
    """100 tokens at 1,000 nano-dollars and 50 at 100."""
    _, figures = compared(Operation.ADD_CONSTRAINTS)
    assert figures["trained", DOLLARS_EACH] == pytest.approx((100_000 + 5_000) / 1e9)


def test_at_equal_queries_and_acceptance_the_policy_of_dear_edits_is_dearer() -> None:
    comparison, dear = compared(Operation.DEEPENING)
    assert comparison.score("trained", "accepted_per_query_minus_uniform").mean == 0.0
    assert dear["trained", f"{DOLLARS_EACH}_minus_uniform"] > 0
    assert dear["trained", NOVELTY_PER_DOLLAR] < dear["uniform", NOVELTY_PER_DOLLAR]


def test_without_prices_or_tokens_there_is_no_figure_in_dollars() -> None:
    assert not compared(Operation.DEEPENING, prices=None)[1]
    assert not compared(Operation.DEEPENING, usage=lambda request: Usage())[1]


def test_a_policy_that_asks_to_choose_has_no_figure_in_dollars() -> None:
    spending = Spending(PRICES)
    run([Uniform()], ToyWorld(usage=tokens), names=["guide"], sink=spending.keep)
    assert spending.spent().keys() == {"trained", "uniform"}
