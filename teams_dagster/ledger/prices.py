"""What a completion cost, by a versioned price table. Unknown is None, never a guess."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from teams_dagster.completions.protocol import ModelIdentity, Usage
from teams_dagster.streams import content_hash

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


class PriceFileError(Exception):
    """A price file that cannot be used; the message names the file and the entry."""


@dataclass(frozen=True)
class PriceTable:
    """Prices; the first entry that matches counts."""

    prices: tuple[Price, ...]

    @cached_property
    def version(self) -> str:
        """Content hash of the entries, recorded beside every cost."""
        return content_hash("prices", [asdict(price) for price in self.prices])

    def cost(self, identity: ModelIdentity, usage: Usage) -> int | None:
        """The cost of a completion in nano-dollars.

        None when no entry matches, or when the provider did not report a number that the price depends on.
        """
        price = next((price for price in self.prices if _matches(price, identity)), None)
        if price is None:
            return None
        if price.input == price.output == (price.cached_input or 0) == 0:
            return 0
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        if price.cached_input is None:
            return usage.prompt_tokens * price.input + usage.completion_tokens * price.output
        if usage.cached_tokens is None:
            return None
        full = usage.prompt_tokens - usage.cached_tokens
        return full * price.input + usage.cached_tokens * price.cached_input + usage.completion_tokens * price.output


def load_prices(overrides: Path | None = None) -> PriceTable:
    """The shipped prices; the entries of the TOML file `overrides`, same form, come first. Raises PriceFileError."""
    shipped = resources.files("teams_dagster.ledger").joinpath("prices.toml").read_text("utf-8")
    prices = _parse(shipped, "prices.toml")
    if overrides is not None:
        try:
            text = overrides.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PriceFileError(f"cannot read the price file {overrides}: {error}") from error
        prices = (*_parse(text, str(overrides)), *prices)
    return PriceTable(prices)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    provider: str
    base_url: str = ANY
    model: str
    input: int = Field(ge=0)
    output: int = Field(ge=0)
    cached_input: int | None = Field(default=None, ge=0)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    price: list[_Entry]


def _parse(text: str, name: str) -> tuple[Price, ...]:
    try:
        entries: Iterable[_Entry] = _File.model_validate(tomllib.loads(text)).price
    except tomllib.TOMLDecodeError as error:
        raise PriceFileError(f"{name} is not TOML: {error}") from error
    except ValidationError as error:
        raise PriceFileError(f"{name}: {error}") from error
    return tuple(Price(**entry.model_dump()) for entry in entries)


def _matches(price: Price, identity: ModelIdentity) -> bool:
    return (
        price.provider in (ANY, identity.provider)
        and price.base_url in (ANY, identity.base_url)
        and price.model in (ANY, identity.model)
    )
