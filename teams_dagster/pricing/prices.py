"""What a completion cost, by a versioned price table. Unknown is None, never a guess.

Three sources, the first that knows counts: the entries of the user's own file, the shipped ones (what runs on this
machine costs nothing), and what the provider behind the address publishes (`published_prices`).
"""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from teams_dagster.core.file_faults import Place, value_faults
from teams_dagster.core.files import read_text
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import ModelIdentity, Usage
from teams_dagster.pricing.published_prices import NOT_BILLED_BY_LIST, Tariff, Tier, published_tariffs, table_version

ANY = "*"


@dataclass(frozen=True)
class Price:
    """Nano-dollars per token for one model behind one address; `*` stands for any."""

    provider: str
    base_url: str
    model: str
    input: int
    output: int
    cached_input: int | None = None
    """For prompt tokens reported as cached; None: they cost `input`."""
    batch_share: Decimal | None = None
    """The share of these prices that a call through the batch endpoint costs; None: not known."""

    def names(self, identity: ModelIdentity) -> bool:
        """Whether this is the price of `identity`."""
        return (
            self.provider in (ANY, identity.provider)
            and self.base_url in (ANY, identity.base_url)
            and self.model in (ANY, identity.model)
        )

    def tariff(self, *, batch: bool = False) -> Tariff | None:
        """The prices of a call; None for a batch call where its share is not known and would matter."""
        cached = self.input if self.cached_input is None else self.cached_input
        share = Decimal(1)
        if batch and (self.input, self.output, cached) != (0, 0, 0):
            if self.batch_share is None:
                return None
            share = self.batch_share
        fresh, cached, output = (price * share for price in (self.input, cached, self.output))
        return Tariff((Tier(-1, fresh, cached, fresh, output),))


class PriceFileError(Exception):
    """A price file that cannot be used; the message names the file and the entry."""


@dataclass(frozen=True)
class PriceTable:
    """Prices; the first entry that matches counts, then what the provider publishes."""

    prices: tuple[Price, ...]
    clock: Callable[[], float] = field(default=time.time, compare=False)
    """Published prices change with time, some by the hour: each is looked up once a minute."""
    _resolved: dict[tuple[ModelIdentity, bool], tuple[int, tuple[Tariff, ...]]] = field(
        default_factory=dict[tuple[ModelIdentity, bool], tuple[int, tuple[Tariff, ...]]],
        init=False,
        repr=False,
        compare=False,
    )

    @cached_property
    def version(self) -> str:
        """Content hash of the entries and of the published table's version, recorded beside every cost."""
        entries = [{**asdict(price), "batch_share": str(price.batch_share)} for price in self.prices]
        return content_hash("prices", entries, table_version(), sorted(NOT_BILLED_BY_LIST))

    def cost(self, identity: ModelIdentity, usage: Usage, *, batch: bool = False) -> int | None:
        """The cost of a completion in nano-dollars, its sum rounded half up; `batch` for the batch endpoint.

        None when no price is known, or when the provider did not report a number that the price depends on.
        """
        tariffs = self._tariffs(identity, batch)
        return tariffs[0].cost(usage) if tariffs else None

    def bound(
        self, identity: ModelIdentity, prompt_tokens: int, completion_tokens: int, *, batch: bool = False
    ) -> int | None:
        """The most nano-dollars that a call of at most so many tokens can cost, should it end within a day.

        None when no price is known.
        """
        tariffs = self._tariffs(identity, batch)
        return max(tariff.bound(prompt_tokens, completion_tokens) for tariff in tariffs) if tariffs else None

    def first_tiers(self, identity: ModelIdentity, *, batch: bool = False) -> tuple[Tier, ...]:
        """The prices of a call with a short prompt at any hour of the day ahead; empty when no price is known."""
        return tuple(tariff.tiers[0] for tariff in self._tariffs(identity, batch))

    def _tariffs(self, identity: ModelIdentity, batch: bool) -> tuple[Tariff, ...]:
        """The tariff of now and those of the day ahead; empty when no price is known."""
        now = self.clock()
        minute = int(now // 60)
        key = identity, batch
        known = self._resolved.get(key)
        if known is None or known[0] != minute:
            known = self._resolved[key] = minute, self._look_up(identity, batch, datetime.fromtimestamp(now, UTC))
        return known[1]

    def _look_up(self, identity: ModelIdentity, batch: bool, at: datetime) -> tuple[Tariff, ...]:
        entry = next((price for price in self.prices if price.names(identity)), None)
        if entry is None:
            return published_tariffs(identity.base_url, identity.model, at, batch=batch)
        tariff = entry.tariff(batch=batch)
        return () if tariff is None else (tariff,)


def load_prices(overrides: Path | None = None) -> PriceTable:
    """The shipped prices; the entries of the TOML file `overrides`, same form, come first. Raises PriceFileError."""
    shipped = resources.files("teams_dagster.pricing").joinpath("prices.toml").read_text("utf-8")
    prices = _parse(shipped, "prices.toml")
    if overrides is not None:
        named = f"TEAMS_PRICES: {overrides}"
        try:
            text = read_text(overrides)
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is no text"
            raise PriceFileError(f"{named} cannot be read ({said}): name a TOML file of prices") from error
        prices = (*_parse(text, named), *prices)
    return PriceTable(prices)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    provider: str
    base_url: str = ANY
    model: str
    input: int = Field(ge=0)
    output: int = Field(ge=0)
    cached_input: int | None = Field(default=None, ge=0)
    batch_share: Decimal | None = Field(default=None, ge=0, le=1, decimal_places=6, strict=False)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    price: list[_Entry]


def _parse(text: str, name: str) -> tuple[Price, ...]:
    try:
        entries: Iterable[_Entry] = _File.model_validate(tomllib.loads(text, parse_float=Decimal)).price
    except tomllib.TOMLDecodeError as error:
        raise PriceFileError(f"{name} is not TOML: {error}") from error
    except ValidationError as error:
        lines = [number for number, line in enumerate(text.splitlines(), 1) if _HEADER.match(line)]
        faults = value_faults(error, lambda place: _line(lines, place))
        raise PriceFileError(
            f"{name}: {faults}. A price has provider, model, and input and output in nano-dollars per token (150 for"
            " $0.15 per million tokens)"
        ) from error
    return tuple(replace(Price(**entry.model_dump()), base_url=entry.base_url.rstrip("/")) for entry in entries)


_HEADER = re.compile(r"\s*\[\[\s*price\s*\]\]")


def _line(lines: list[int], place: Place) -> int | None:
    """The line where the entry begins that a fault is in."""
    entry = place[1] if len(place) > 1 else None
    return lines[entry] if isinstance(entry, int) and entry < len(lines) else None
