"""A budget that ends in a dataset: the policy has its part, and what cannot be paid is not begun."""

from __future__ import annotations

from fractions import Fraction

import pytest

from teams_dagster.ledger.budgets import Budget, Spent
from teams_dagster.pricing.budget_parts import BudgetTooSmall, Room, policy_limit, refuse_too_small
from teams_dagster.pricing.forecast import Estimate, Range

PROJECT = Budget(queries=1_000, tokens=None, nano_usd=2_000_000_000)
HALF = Fraction(1, 2)


def needs(queries: int, nano_usd: int = 0) -> Estimate:
    count = Range(0, queries, 10 * queries)
    return Estimate(count, count, Range(0, 0, 0), Range(0, nano_usd, nano_usd))


def test_the_policy_may_spend_its_part_of_every_bound() -> None:
    assert policy_limit(PROJECT, HALF).budget == Budget(500, None, 1_000_000_000)


def test_what_likely_fits_is_begun() -> None:
    refuse_too_small(needs(500), Room(policy_limit(PROJECT, HALF).budget, Spent(), HALF), "")


def test_what_does_not_fit_is_refused_with_what_would_be_enough() -> None:
    room = Room(policy_limit(PROJECT, HALF).budget, Spent(queries=100), HALF)
    with pytest.raises(BudgetTooSmall) as refused:
        refuse_too_small(needs(401), room, "train less")
    assert str(refused.value) == (
        "TEAMS_BUDGET_QUERIES is too small for this step: it likely needs 401 queries, and 400 of 500 are left for it,"
        " 50% of TEAMS_BUDGET_QUERIES. Nothing was asked. Set TEAMS_BUDGET_QUERIES to 1,002 or more, or train less"
    )


def test_dollars_are_refused_too() -> None:
    with pytest.raises(BudgetTooSmall, match="TEAMS_BUDGET_USD"):
        refuse_too_small(needs(1, 3_000_000_000), Room(PROJECT, Spent()), "")
