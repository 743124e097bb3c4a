"""The prices by which a generation pays for an edit, as plain numbers that are kept with what was trained by them.

A generation has its edits rewritten by the expert and reviewed by the reviewer. These are their prices of a day, for
tokens that no cache held, at the tier of short prompts, so that what an edit costs depends on its tokens alone: not on
what a provider's cache happened to hold, nor on the hour. A price that changes with the hour is the dearest of the day.
A policy is trained by them and replayed by them for ever; they hold nothing but what a reward is counted by, so that a
policy stays as it is where another model's price changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from teams_dagster.core.protocol import ModelIdentity, Usage
from teams_dagster.pricing.prices import PriceTable


class ExpertPriceUnknown(ValueError):
    """Dollars cannot be counted at the prices of a generation; the message says of which model, and what to do."""


class TokenPrice(BaseModel):
    """Nano-dollars a token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)

    @field_validator("input", "output")
    @classmethod
    def _written_in_one_way(cls, price: Decimal) -> Decimal:
        """2500.00 as 2500: what is hashed is the price, not where it was read."""
        return Decimal(f"{price.normalize():f}")

    @property
    def free(self) -> bool:
        """Whether no token costs anything."""
        return not (self.input or self.output)

    def cost(self, usage: Usage) -> int | None:
        """Nano-dollars, rounded half up; None where a number of tokens was not reported and would matter."""
        if self.free:
            return 0
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        cost = usage.prompt_tokens * self.input + usage.completion_tokens * self.output
        return int(cost.to_integral_value(ROUND_HALF_UP))


class GenerationPrices(BaseModel):
    """What a generation pays for an edit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rewrite: TokenPrice
    """The expert's."""
    review: TokenPrice
    """The reviewer's."""

    def cost(self, rewrite: Usage | None, reviews: Sequence[Usage]) -> int | None:
        """Nano-dollars of an edit whose rewrite and reviews took these tokens; None where a number was not reported.

        A rewrite that was not asked is None, and costs nothing.
        """
        costs = [self.rewrite.cost(rewrite)] if rewrite else []
        costs += [self.review.cost(usage) for usage in reviews]
        return None if None in costs else sum(cost for cost in costs if cost is not None)


def generation_prices(
    prices: PriceTable,
    expert: ModelIdentity,
    reviewer: ModelIdentity,
    *,
    expert_batched: bool = False,
    reviewer_batched: bool = False,
) -> GenerationPrices:
    """The prices of the day that begins now; `..._batched` where a role goes through its provider's batch endpoint.

    Raises ExpertPriceUnknown where no price is known of one of them, or where the expert costs nothing.
    """
    rewrite = _price(prices, "expert", expert, expert_batched)
    review = _price(prices, "reviewer", reviewer, reviewer_batched)
    if rewrite.free:
        raise ExpertPriceUnknown(
            f"the expert, {expert.model} of {expert.provider}, costs $0 a token, so no edit is dearer than another:"
            " name the model that will generate (TEAMS_EXPERT_MODEL), or state what its tokens cost in the file that"
            " TEAMS_PRICES names"
        )
    return GenerationPrices(rewrite=rewrite, review=review)


def _price(prices: PriceTable, role: str, identity: ModelIdentity, batched: bool) -> TokenPrice:
    tiers = prices.first_tiers(identity, batch=batched)
    if not tiers:
        raise ExpertPriceUnknown(
            f"no price is known of the {role}, {identity.model} of {identity.provider}, so dollars cannot be counted:"
            " state it in the file that TEAMS_PRICES names"
        )
    return TokenPrice(input=max(tier.input for tier in tiers), output=max(tier.output for tier in tiers))
