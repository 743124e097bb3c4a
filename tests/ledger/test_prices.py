"""Prices: exact integers, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.completions.protocol import ModelIdentity, Usage
from teams_dagster.ledger.prices import Price, PriceFileError, PriceTable, load_prices

HOST = "https://host/v1"
PAID = PriceTable((Price("openai", HOST, "m", input=150, output=600, cached_input=75),))
IDENTITY = ModelIdentity("openai", "m", HOST)


@pytest.mark.parametrize("provider", ["offline", "transformers"])
def test_what_runs_here_costs_nothing_whatever_it_reports(provider: str) -> None:
    assert load_prices().cost(ModelIdentity(provider, "any"), Usage()) == 0


def test_an_unknown_model_or_address_has_no_price() -> None:
    usage = Usage(1, 0, 1)
    assert load_prices().cost(IDENTITY, usage) is None
    assert PAID.cost(ModelIdentity("openai", "other", HOST), usage) is None
    assert PAID.cost(ModelIdentity("openai", "m", "https://reseller/v1"), usage) is None


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_cost_is_the_exact_sum_over_tokens(fresh: int, cached: int, completion: int) -> None:
    cost = PAID.cost(IDENTITY, Usage(fresh + cached, cached, completion))
    assert cost == 150 * fresh + 75 * cached + 600 * completion


@pytest.mark.parametrize("usage", [Usage(), Usage(1, 0, None), Usage(None, 0, 1), Usage(1, None, 1)])
def test_a_number_the_provider_left_out_is_never_guessed(usage: Usage) -> None:
    assert PAID.cost(IDENTITY, usage) is None


def test_without_a_price_for_cached_tokens_all_cost_the_same() -> None:
    table = PriceTable((Price("openai", "*", "m", input=2, output=3),))
    assert table.cost(IDENTITY, Usage(10, None, 1)) == table.cost(IDENTITY, Usage(10, 4, 1)) == 23


def test_the_version_names_the_content(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('[[price]]\nprovider = "openai"\nmodel = "m"\ninput = 1\noutput = 2\n')
    changed = load_prices(file)
    assert changed.cost(IDENTITY, Usage(1, 0, 1)) == 3
    assert changed.version == load_prices(file).version != load_prices().version


@pytest.mark.parametrize(
    "text",
    ["[[price", "[[price]]\nmodel='m'", "[[price]]\nprovider='p'\nmodel='m'\ninput=0.5\noutput=1", "rate = 1"],
)
def test_a_price_file_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(PriceFileError, match=r"mine\.toml"):
        load_prices(file)
    with pytest.raises(PriceFileError, match=r"absent\.toml"):
        load_prices(tmp_path / "absent.toml")
