"""Where the reward is computed.

- `paper`: 1 for an accepted edit, else 0 (TeaMs-RL section 3: the reviewer's binary verdict).
- `graded`: accepted x min(1, d / d0) - price x queries, with d = 1 - the largest similarity to any earlier text of the
  chain and to a frozen pool. An edit that repeats what exists earns less, a query that brings nothing costs.
- `dollars`: accepted x min(1, d / d0) - the dollars that the edit would cost in a generation / `edit_worth_usd`: the
  tokens that its rewrite took at the expert's price, and those of its review at the reviewer's. An edit whose tokens
  were not reported earns and costs nothing; a training counts such edits, and refuses a model that reports none.

Option `soft` puts P(Not Equal) in the place of the verdict's 0 or 1, where the reviewer gave it: `paper` is then P, and
`graded` and `dollars` P x min(1, d / d0) less what the edit costs, for refused edits too. Whether an edit is accepted
stays the verdict.

A reward depends on the transition alone, never on what other episodes found or on when answers arrived.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Usage
from teams_dagster.core.text import NANO
from teams_dagster.environment.state import HORIZON
from teams_dagster.instructions.novelty import Pool, similarity
from teams_dagster.pricing.generation_prices import GenerationPrices


class RewardPreset(StrEnum):
    """Which reward, and where the chain goes after a rejected edit."""

    PAPER = "paper"
    """The binary verdict; the chain continues from the edit even when the reviewer calls it Equal."""
    GRADED = "graded"
    """Novelty less the price of the queries; the chain stays at the parent of a rejected edit."""
    DOLLARS = "dollars"
    """Novelty less dollars at the prices of a generation; the chain stays at the parent of a rejected edit."""


class DollarReward(BaseModel):
    """By which prices preset `dollars` counts, and what turns dollars into the reward's units."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prices: GenerationPrices
    edit_worth_usd: float = Field(
        default=0.01,
        gt=0,
        description="What one accepted, wholly new edit is worth in dollars (reward `dollars`): a dollar costs 1 / this"
        " in units of such an edit. At a cent, an edit by a model at $2.50 and $10 per million tokens, some 350 in and"
        " 80 out, costs 0.17, nearly what its two queries cost by default under `graded`.",
    )

    def price(self, nano_usd: int) -> float:
        """So many nano-dollars in units of one accepted edit."""
        return nano_usd / NANO / self.edit_worth_usd


_OPTIONS = frozenset({"both_orders", "soft", "dollars"})


class RewardConfig(BaseModel):
    """The reward of a training run; the same for every policy that is compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: RewardPreset = RewardPreset.GRADED
    saturation: float = Field(
        default=0.06,
        gt=0,
        le=1,
        description="d0: the novelty d that earns the full reward. Ten words added to a text of up to about 80 have"
        " d >= 0.06 under `dice_words_bigrams`, so such an edit saturates and a whole new text earns no more.",
    )
    price: float = Field(
        default=0.1,
        ge=0,
        lt=0.5,
        description="What one query costs in units of one accepted edit (preset `graded`). An edit needs two, so"
        " asking pays where the chance of acceptance is above twice the price; with `both_orders` three times.",
    )
    both_orders: bool = Field(
        default=False,
        description="Whether the reviewer is asked twice, the texts the other way round the second time: three queries"
        " an edit, and its liking for one place is averaged out.",
    )
    soft: bool = Field(
        default=False,
        description="Whether the reward has the probability of Not Equal where the hard one has 0 or 1. Acceptance"
        " stays the verdict. Needs a reviewer that gives probabilities.",
    )

    dollars: DollarReward | None = Field(default=None, description="Of preset `dollars`; None under another one.")

    @model_validator(mode="after")
    def _dollars_have_prices(self) -> Self:
        if self.preset is RewardPreset.DOLLARS and self.dollars is None:
            raise ValueError("preset `dollars` needs `dollars`, the prices that it counts by: give them")
        if self.preset is not RewardPreset.DOLLARS and self.dollars is not None:
            raise ValueError(f"preset `{self.preset}` counts no dollars: leave `dollars` out, or take preset `dollars`")
        return self

    @model_validator(mode="after")
    def _an_edit_can_pay(self) -> Self:
        if self.preset is RewardPreset.GRADED and self.price * self.queries_an_edit >= 1:
            raise ValueError(
                f"preset `graded`: price {self.price} for each of the {self.queries_an_edit} queries of an edit in both"
                " orders is more than an accepted edit earns: set `price` below"
                f" {1 / self.queries_an_edit:.2f}, or leave out `both_orders`"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_unused_options(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Options that are off are left out, so that what was hashed before there were any keeps its hash."""
        return {name: value for name, value in handler(self).items() if value or name not in _OPTIONS}

    @property
    def reviews_an_edit(self) -> int:
        """Queries of the reviewer on one edit."""
        return 2 if self.both_orders else 1

    @property
    def queries_an_edit(self) -> int:
        """Queries of one edit at most: the rewrite and its reviews."""
        return 1 + self.reviews_an_edit

    @property
    def queries_an_episode(self) -> int:
        """Queries of one episode at most, without those asked to choose operations."""
        return HORIZON * self.queries_an_edit

    @property
    def name(self) -> str:
        """How the reward is counted, as transitions carry it: the preset, and whether it is soft."""
        return f"{self.preset.value}_soft" if self.soft else self.preset.value

    def edit_cost(self, rewrite: Usage | None, reviews: Sequence[Usage]) -> int | None:
        """Nano-dollars of an edit at the prices of a generation; None where the preset counts none, or tokens lack."""
        return None if self.dollars is None else self.dollars.prices.cost(rewrite, reviews)


def novelty(after: Instruction, chain: Sequence[Instruction], pool: Pool) -> float:
    """d in [0, 1]: one less the largest similarity of `after` to any text of `chain` and to any member of `pool`."""
    nearest = max((similarity(after, earlier) for earlier in chain), default=0.0)
    return 1.0 - max(nearest, pool.largest_similarity(after))


def reward(
    config: RewardConfig,
    *,
    accepted: bool,
    novelty: float | None,
    queries: int,
    probability: float | None = None,
    nano_usd: int | None = None,
) -> float:
    """The reward of one transition.

    Args:
        novelty: d, needed for an edit that earns something: an accepted one, or one with a soft reward.
        probability: P(Not Equal) of a reviewed edit, which a soft reward takes. Where a reply came back without it (a
            verdict so sure that the other is not among the listed tokens), the verdict counts as 0 or 1.
        nano_usd: What `RewardConfig.edit_cost` says of it; under preset `dollars` None earns and costs nothing.

    Raises ValueError when an edit that earns something comes without its novelty.
    """
    share = probability if config.soft and probability is not None else float(accepted)
    if config.preset is RewardPreset.PAPER:
        return share
    price = config.price * queries
    if config.dollars is not None:
        if nano_usd is None:
            return 0.0
        price = config.dollars.price(nano_usd)
    gain = 0.0
    if share:
        if novelty is None:
            raise ValueError(
                f"preset `{config.preset}` pays for novelty, and an edit that it pays for came without: give `novelty`"
            )
        gain = share * min(1.0, novelty / config.saturation)
    return gain - price
