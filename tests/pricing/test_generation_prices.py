"""The prices by which a generation pays for an edit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from teams_dagster.core.protocol import ModelIdentity
from teams_dagster.pricing.generation_prices import ExpertPriceUnknown, TokenPrice, generation_prices
from teams_dagster.pricing.prices import Price, PriceTable, load_prices

EXPERT = ModelIdentity("openai", "strong", "https://llm.example/v1")
REVIEWER = ModelIdentity("openai", "small", "https://llm.example/v1")
EMBEDDED = ModelIdentity("offline", "rules")
TABLE = PriceTable(
    (
        Price("openai", "*", "strong", 2_500, 10_000, cached_input=1_250, batch_share=Decimal("0.5")),
        Price("openai", "*", "small", 150, 600),
        Price("offline", "*", "*", 0, 0),
    )
)


def test_the_rewrite_is_paid_as_the_expert_is_and_the_review_as_the_reviewer_is() -> None:
    found = generation_prices(TABLE, EXPERT, REVIEWER)
    assert found.rewrite == TokenPrice(input=Decimal(2_500), output=Decimal(10_000))
    assert found.review == TokenPrice(input=Decimal(150), output=Decimal(600))


def test_an_expert_that_goes_through_its_batch_endpoint_is_paid_as_batches_are() -> None:
    found = generation_prices(TABLE, EXPERT, REVIEWER, expert_batched=True)
    assert found.rewrite == TokenPrice(input=Decimal(1_250), output=Decimal(5_000))


def test_a_published_price_is_known() -> None:
    expert = ModelIdentity("openai", "gpt-4o", "https://api.openai.com/v1")
    assert generation_prices(load_prices(), expert, EMBEDDED).rewrite.input == 2_500


@pytest.mark.parametrize("hour", range(24))
def test_where_the_price_changes_with_the_hour_the_dearest_of_the_day_counts(hour: int) -> None:
    """At 16:30 UTC the provider halves the price of its chat model."""
    expert = ModelIdentity("openai", "deepseek-chat", "https://api.deepseek.com/v1")
    table = replace(load_prices(), clock=datetime(2025, 7, 1, hour, 15, tzinfo=UTC).timestamp)
    assert generation_prices(table, expert, EMBEDDED).rewrite == TokenPrice(input=Decimal(270), output=Decimal(1_100))


def test_another_models_price_changes_nothing_of_what_is_kept() -> None:
    """Otherwise an unchanged policy would be trained again."""
    other = PriceTable((*TABLE.prices, Price("openai", "*", "another", 1, 2)))
    assert generation_prices(TABLE, EXPERT, REVIEWER).model_dump(mode="json") == generation_prices(
        other, EXPERT, REVIEWER
    ).model_dump(mode="json")


def test_a_price_is_written_in_one_way_wherever_it_was_read() -> None:
    stated, published = (TokenPrice(input=Decimal(text), output=Decimal(0)) for text in ("2500", "2500.00"))
    assert stated.model_dump(mode="json") == published.model_dump(mode="json") == {"input": "2500", "output": "0"}


def test_a_reviewer_in_the_process_costs_nothing() -> None:
    assert generation_prices(TABLE, EXPERT, EMBEDDED).review == TokenPrice(input=Decimal(0), output=Decimal(0))


@pytest.mark.parametrize(("expert", "reviewer"), [("unknown", "strong"), ("strong", "unknown")])
def test_without_a_price_dollars_are_refused_with_the_setting_that_helps(expert: str, reviewer: str) -> None:
    role = "expert" if expert == "unknown" else "reviewer"
    with pytest.raises(ExpertPriceUnknown, match=f"no price is known of the {role}, unknown of openai.*TEAMS_PRICES"):
        generation_prices(TABLE, ModelIdentity("openai", expert, "x"), ModelIdentity("openai", reviewer, "x"))


def test_an_expert_that_costs_nothing_makes_no_edit_dearer_than_another() -> None:
    with pytest.raises(
        ExpertPriceUnknown, match=r"the expert, rules of offline, costs \$0 a token.*TEAMS_EXPERT_MODEL"
    ):
        generation_prices(TABLE, EMBEDDED, REVIEWER)
