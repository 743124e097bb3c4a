"""What tokens cost: one model's prices, as exact decimals.

Providers state dollars per million tokens, to fractions of a nano-dollar per token. A call's sum is rounded once: half
up to the nano-dollar.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from functools import cached_property

from teams_dagster.core.protocol import Usage


@dataclass(frozen=True)
class Tier:
    """Nano-dollars per token, for every token of a call whose prompt has more than `above` of them."""

    above: int
    """-1 for the tier that any prompt reaches."""
    input: Decimal
    cached: Decimal
    """For prompt tokens that the provider read from its cache; `input` where it makes no difference."""
    cache_write: Decimal
    """For prompt tokens that the provider wrote to its cache; `input` where it makes no difference."""
    output: Decimal
    """Reasoning is output: providers bill it so."""


@dataclass(frozen=True)
class Tariff:
    """The prices of one model, tiers in ascending order."""

    tiers: tuple[Tier, ...]
    caches_only_on_request: bool = False
    """Nothing is cached unless a request says so, and ours never do: what is not reported about the cache is zero."""

    @cached_property
    def free(self) -> bool:
        """Whether nothing ever costs anything."""
        return all(t.input == t.cached == t.cache_write == t.output == 0 for t in self.tiers)

    def cost(self, usage: Usage) -> int | None:
        """Nano-dollars, rounded half up.

        None where the provider left out a number that the price depends on, or numbers that contradict each other.
        """
        if self.free:
            return 0
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        if prompt is None or completion is None:
            return None
        tier = self.tiers[0]
        for higher in self.tiers[1:]:
            if prompt > higher.above:
                tier = higher
        cached = self._reported(usage.cached_tokens, tier.cached == tier.input)
        written = self._reported(usage.cache_write_tokens, tier.cache_write == tier.input)
        if cached is None or written is None or cached + written > prompt:
            return None
        nano_usd = (
            (prompt - cached - written) * tier.input
            + cached * tier.cached
            + written * tier.cache_write
            + completion * tier.output
        )
        return int(nano_usd.to_integral_value(ROUND_HALF_UP))

    def bound(self, prompt_tokens: int, completion_tokens: int) -> int:
        """The most nano-dollars that a call of at most so many tokens can cost, rounded up."""
        nano_usd = max(
            prompt_tokens * max(tier.input, tier.cached, tier.cache_write) + completion_tokens * tier.output
            for tier in self.tiers
            if tier.above < prompt_tokens
        )
        return int(nano_usd.to_integral_value(ROUND_CEILING))

    def _reported(self, tokens: int | None, makes_no_difference: bool) -> int | None:
        """`tokens`, or 0 where they were not reported and 0 is right all the same."""
        return 0 if tokens is None and (makes_no_difference or self.caches_only_on_request) else tokens
