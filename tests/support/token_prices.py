"""Prices, for tests that count dollars."""

from decimal import Decimal

from teams_dagster.pricing.generation_prices import GenerationPrices, TokenPrice

PRICES = """[[price]]
provider = "openai"
base_url = "*"
model = "my-model"
input = 150
output = 600
"""
"""The price file of somebody who asks `my-model`, wherever it is served."""


def generation_prices(rewrite: tuple[int, int] = (2_500, 10_000), review: tuple[int, int] = (0, 0)) -> GenerationPrices:
    """Nano-dollars a token, in and out, of the expert and of the reviewer."""
    return GenerationPrices(rewrite=_price(*rewrite), review=_price(*review))


def _price(input_: int, output: int) -> TokenPrice:
    return TokenPrice(input=Decimal(input_), output=Decimal(output))
