"""What providers charge, by the table of `genai-prices` as it was installed.

The table is part of the package: nothing is fetched, ever. A provider is known by the address that is asked, never by a
model's name: a server of your own that serves `gpt-4o-mini` has no published price. Importing the library takes a
tenth of a second and 20 MiB, so it waits for the first query to an address that is not this machine's.

A model's tariff is kept in exact decimals: providers state dollars per million tokens, to fractions of a nano-dollar
per token. A call's sum is rounded once: half up to the nano-dollar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from functools import cached_property, lru_cache
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from teams_dagster.core.protocol import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices


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


NOT_BILLED_BY_LIST = MappingProxyType(
    {
        "aws": "prices differ by region",
        "azure": "prices differ by region, and a deployment's name is the customer's choice",
        "cursor": "a subscription",
        "databricks": "prices differ by region and contract",
        "elevenlabs": "bills by the minute",
        "github-copilot": "a subscription",
        "minimax": "some prices are inferred from another currency",
        "modal": "anybody's own servers",
        "openrouter": "the price is that of the provider each request is routed to",
        "perplexity": "bills its searches too",
        "zhipuai": "bills in another currency, and by tiers that the table leaves out",
    }
)
"""Providers of the table whose bill is not its prices times tokens, with the reason. They have no price here."""

_CACHE_ONLY_ON_REQUEST = frozenset({"anthropic"})

_INPUT, _OUTPUT, _CACHED, _CACHE_WRITE = "input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok"
_READ = {_INPUT, _OUTPUT, _CACHED, _CACHE_WRITE}
_NEVER_ASKED_FOR = re.compile("audio|image|video|document|searches|_1h_|_5m_")
"""Prices of what a chat in plain text never uses. A model with any other price that is not read here has none."""

_BATCH = {"processing": "batch"}


def table_version() -> str:
    """Which table this is."""
    return f"genai-prices {version('genai-prices')}"


def published_tariffs(base_url: str, model: str, at: datetime, *, batch: bool = False) -> tuple[Tariff, ...]:
    """What `model` costs at `base_url`: the tariff of the moment `at`, then those that it changes to within a day.

    `batch` asks for the provider's batch endpoint. Empty where no price is published.
    """
    if urlsplit(base_url).scheme != "https":
        return ()
    found = _find(base_url, model)
    if found is None:
        return ()
    provider, known = found
    tariffs = [_tariff(provider, known, moment, batch) for moment in _moments(known, at)]
    complete = tuple(dict.fromkeys(tariff for tariff in tariffs if tariff is not None))
    return complete if tariffs[0] is not None else ()


@lru_cache(maxsize=256)
def _find(base_url: str, model: str) -> tuple[Provider, ModelInfo] | None:
    """The provider behind an address, and its model of that name."""
    from genai_prices.data import providers  # not through the library's snapshot, which others may replace

    if "search" in model.lower():
        return None  # such models bill their searches too
    provider = next((each for each in providers if _serves(each.api_pattern, base_url)), None)
    if provider is None or provider.id in NOT_BILLED_BY_LIST:
        return None
    known = provider.find_model(model, all_providers=providers)
    return (provider, known) if known is not None else None


def _serves(pattern: str, base_url: str) -> bool:
    """Whether the provider's pattern names this very host, not the beginning of another's name."""
    address = urlsplit(base_url)
    if address.port not in (None, 443):
        return False
    origin = f"{address.scheme}://{address.hostname}"
    for url in [origin] if ".*" in pattern else [origin, origin + address.path]:
        if match := re.match(pattern, url):
            rest = url[match.end() :]
            last_label = match.group().endswith(".") and "." not in rest.partition("/")[0]
            if not rest or rest.startswith("/") or match.group().endswith("/") or last_label:
                return True
    return False


def _moments(model: ModelInfo, at: datetime) -> Iterator[datetime]:
    """`at`, and each moment of the day after it at which the model's price may change."""
    from genai_prices.types import StartDateConstraint, TimeOfDateConstraint

    yield at
    conditional = model.prices if isinstance(model.prices, list) else []
    for constraint in [each.constraint for each in [*conditional, *(model.price_variants or [])]]:
        if isinstance(constraint, StartDateConstraint):
            start = datetime.combine(constraint.start_date, time(), UTC)
            if at < start <= at + timedelta(days=1):
                yield start
        elif isinstance(constraint, TimeOfDateConstraint):
            for clock in (constraint.start_time, constraint.end_time):
                change = datetime.combine(at.date(), clock.replace(tzinfo=clock.tzinfo or UTC))
                yield change if change > at else change + timedelta(days=1)


def _tariff(provider: Provider, model: ModelInfo, at: datetime, batch: bool) -> Tariff | None:
    """The prices at one moment; None where the table does not settle them."""
    if not batch:
        price = model.get_prices(at)
    elif _has_batch_price(provider, model, at):
        price = model.get_prices(at, _BATCH)
    else:
        return None
    return _read(price, caches_only_on_request=provider.id in _CACHE_ONLY_ON_REQUEST)


def _has_batch_price(provider: Provider, model: ModelInfo, at: datetime) -> bool:
    own = any(each is model for each in provider.models)
    return own and any(
        variant.when == _BATCH and (variant.constraint is None or variant.constraint.active(at))
        for variant in model.price_variants or []
    )


def _read(price: ModelPrice, *, caches_only_on_request: bool) -> Tariff | None:
    """The table's form, in ours."""
    from genai_prices.types import TieredPrices

    prices: dict[str, Decimal | TieredPrices] = {
        key: value for key, value in vars(price).items() if value is not None and not _NEVER_ASKED_FOR.search(key)
    }
    if not prices.keys() <= _READ or not {_INPUT, _OUTPUT} <= prices.keys():
        return None
    starts = {tier.start for value in prices.values() if isinstance(value, TieredPrices) for tier in value.tiers}
    return Tariff(tuple(_tier(prices, above) for above in (-1, *sorted(starts))), caches_only_on_request)


def _tier(prices: dict[str, Decimal | TieredPrices], above: int) -> Tier:
    fresh = _nano_usd(prices[_INPUT], above)
    return Tier(
        above=above,
        input=fresh,
        cached=_nano_usd(prices[_CACHED], above) if _CACHED in prices else fresh,
        cache_write=_nano_usd(prices[_CACHE_WRITE], above) if _CACHE_WRITE in prices else fresh,
        output=_nano_usd(prices[_OUTPUT], above),
    )


def _nano_usd(price: Decimal | TieredPrices, above: int) -> Decimal:
    """Dollars per million tokens, for a prompt of just more than `above` tokens, in nano-dollars per token."""
    if not isinstance(price, Decimal):
        reached = [tier.price for tier in price.tiers if tier.start <= above]
        price = reached[-1] if reached else price.base
    return price * 1_000
