"""Where the reward is computed.

- `paper`: 1 for an accepted edit, else 0 (TeaMs-RL section 3: the reviewer's binary verdict).
- `graded`: accepted x min(1, d / d0) - price x queries, with d = 1 - the largest similarity to any earlier text of the
  chain and to a frozen pool. An edit that repeats what exists earns less, a query that brings nothing costs.

A reward depends on the transition alone, never on what other episodes found or on when answers arrived.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.novelty import Pool, similarity


class RewardPreset(StrEnum):
    """Which reward, and where the chain goes after a rejected edit."""

    PAPER = "paper"
    """The binary verdict; the chain continues from the edit even when the reviewer calls it Equal."""
    GRADED = "graded"
    """Novelty less the price of the queries; the chain stays at the parent of a rejected edit."""


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
        " asking pays where the chance of acceptance is above twice the price.",
    )


def novelty(after: Instruction, chain: Sequence[Instruction], pool: Pool) -> float:
    """d in [0, 1]: one less the largest similarity of `after` to any text of `chain` and to any member of `pool`."""
    nearest = max((similarity(after, earlier) for earlier in chain), default=0.0)
    return 1.0 - max(nearest, pool.largest_similarity(after))


def reward(config: RewardConfig, *, accepted: bool, novelty: float | None, queries: int) -> float:
    """The reward of one transition. `novelty` is d and is needed for an accepted edit.

    Raises ValueError when an accepted edit comes without its novelty.
    """
    if config.preset is RewardPreset.PAPER:
        return float(accepted)
    gain = 0.0
    if accepted:
        if novelty is None:
            raise ValueError("an accepted edit has no novelty; compute it with `novelty` before the graded reward")
        gain = min(1.0, novelty / config.saturation)
    return gain - config.price * queries
