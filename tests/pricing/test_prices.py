"""Prices: exact integers, or nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.protocol import ModelIdentity, Usage
from teams_dagster.pricing.prices import Price, PriceFileError, PriceTable, load_prices

HOST = "https://host/v1"
PAID = PriceTable((Price("openai", HOST, "m", input=150, output=600, cached_input=75),))
IDENTITY = ModelIdentity("openai", "m", HOST)
MINI = ModelIdentity("openai", "gpt-4o-mini", "https://api.openai.com/v1")

TOKENS = st.integers(0, 10**7)


def at(moment: datetime) -> Callable[[], float]:
    return moment.timestamp


@pytest.mark.parametrize("provider", ["offline", "transformers", "embedding"])
@pytest.mark.parametrize("batch", [False, True])
def test_what_runs_here_costs_nothing_whatever_it_reports(provider: str, batch: bool) -> None:
    identity = ModelIdentity(provider, "any")
    assert load_prices().cost(identity, Usage(), batch=batch) == 0
    assert load_prices().bound(identity, 10**6, 10**6, batch=batch) == 0


def test_an_unknown_model_or_address_has_no_price() -> None:
    usage = Usage(1, 0, 1)
    for identity in (IDENTITY, ModelIdentity("openai", "no-such-model", MINI.base_url)):
        assert load_prices().cost(identity, usage) is None
        assert load_prices().bound(identity, 1, 1) is None
    assert PAID.cost(ModelIdentity("openai", "other", HOST), usage) is None
    assert PAID.cost(ModelIdentity("openai", "m", "https://reseller/v1"), usage) is None


@given(TOKENS, TOKENS, TOKENS)
def test_a_cost_is_the_exact_sum_over_tokens(fresh: int, cached: int, completion: int) -> None:
    cost = PAID.cost(IDENTITY, Usage(fresh + cached, cached, completion))
    assert cost == 150 * fresh + 75 * cached + 600 * completion


@pytest.mark.parametrize("usage", [Usage(), Usage(1, 0, None), Usage(None, 0, 1), Usage(1, None, 1)])
def test_a_number_the_provider_left_out_is_never_guessed(usage: Usage) -> None:
    assert PAID.cost(IDENTITY, usage) is None


def test_numbers_that_contradict_each_other_have_no_price() -> None:
    assert PAID.cost(IDENTITY, Usage(3, 4, 1)) is None


def test_reasoning_is_part_of_the_completion_and_not_paid_twice() -> None:
    assert PAID.cost(IDENTITY, Usage(0, 0, 10, 8)) == PAID.cost(IDENTITY, Usage(0, 0, 10)) == 6_000


def test_without_a_price_for_cached_tokens_all_cost_the_same() -> None:
    table = PriceTable((Price("openai", "*", "m", input=2, output=3),))
    assert table.cost(IDENTITY, Usage(10, None, 1)) == table.cost(IDENTITY, Usage(10, 4, 1)) == 23


def test_a_batch_costs_the_share_that_is_stated_and_is_unknown_otherwise() -> None:
    usage = Usage(10, 4, 3)
    assert PAID.cost(IDENTITY, usage, batch=True) is None
    assert PAID.bound(IDENTITY, 10, 3, batch=True) is None
    half = PriceTable((Price("openai", HOST, "m", 15, 60, cached_input=5, batch_share=Decimal("0.5")),))
    assert half.cost(IDENTITY, usage) == 6 * 15 + 4 * 5 + 3 * 60
    assert half.cost(IDENTITY, usage, batch=True) == (6 * 15 + 4 * 5 + 3 * 60) // 2
    assert half.bound(IDENTITY, 10, 3, batch=True) == (10 * 15 + 3 * 60) // 2


@pytest.mark.parametrize(("tokens", "nano_usd"), [(1, 1), (2, 1), (3, 2)])
def test_a_sum_is_rounded_half_up_once(tokens: int, nano_usd: int) -> None:
    table = PriceTable((Price("openai", HOST, "m", 1, 1, batch_share=Decimal("0.5")),))
    assert table.cost(IDENTITY, Usage(tokens, 0, 0), batch=True) == nano_usd


def test_a_published_price_is_found_by_the_address_and_the_model() -> None:
    table = load_prices()
    assert table.cost(MINI, Usage(1_000, 100, 100)) == 900 * 150 + 100 * 75 + 100 * 600
    assert table.cost(MINI, Usage(1_000, None, 100)) is None
    assert table.bound(MINI, 1_000, 100) == 1_000 * 150 + 100 * 600


def test_the_users_own_prices_come_first(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(
        '[[price]]\nprovider = "openai"\nbase_url = "https://api.openai.com/v1/"\nmodel = "gpt-4o-mini"\n'
        "input = 1\noutput = 2\nbatch_share = 0.25\n"
    )
    table = load_prices(file)
    assert table.cost(MINI, Usage(10, None, 3)) == 16
    assert table.cost(MINI, Usage(10, None, 3), batch=True) == 4


def test_a_price_that_changes_is_the_one_of_the_day() -> None:
    o3 = ModelIdentity("openai", "o3", MINI.base_url)
    before = PriceTable((), clock=at(datetime(2025, 6, 9, 12, tzinfo=UTC)))
    after = PriceTable((), clock=at(datetime(2025, 6, 10, 12, tzinfo=UTC)))
    usage = Usage(1_000_000, 0, 0)
    assert (before.cost(o3, usage), after.cost(o3, usage)) == (10 * 10**9, 2 * 10**9)


def test_a_price_is_looked_up_again_as_time_goes_by() -> None:
    now = datetime(2025, 6, 9, 23, 59, 30, tzinfo=UTC)
    table = PriceTable((), clock=lambda: now.timestamp())
    o3 = ModelIdentity("openai", "o3", MINI.base_url)
    assert table.cost(o3, Usage(1_000_000, 0, 0)) == 10 * 10**9
    now += timedelta(minutes=1)
    assert table.cost(o3, Usage(1_000_000, 0, 0)) == 2 * 10**9


def test_the_version_names_the_content(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('[[price]]\nprovider = "openai"\nmodel = "m"\ninput = 1\noutput = 2\n')
    changed = load_prices(file)
    assert changed.cost(IDENTITY, Usage(1, 0, 1)) == 3
    assert changed.version == load_prices(file).version != load_prices().version
    file.write_text(file.read_text() + "batch_share = 0.5\n")
    assert load_prices(file).version != changed.version


def test_the_version_names_the_published_table(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_prices().version
    monkeypatch.setattr("teams_dagster.pricing.prices.table_version", lambda: "genai-prices 99")
    assert load_prices().version != before


def test_loading_prices_and_pricing_what_runs_here_imports_no_table() -> None:
    program = (
        "import sys; from teams_dagster.pricing.prices import load_prices;"
        "from teams_dagster.core.protocol import ModelIdentity, Usage;"
        "table = load_prices(); table.version;"
        "table.cost(ModelIdentity('offline', 'm'), Usage());"
        "table.bound(ModelIdentity('openai', 'm', 'http://127.0.0.1:8000/v1'), 1, 1);"
        "assert 'genai_prices' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "entry",
    [
        "[[price",
        "[[price]]\nmodel='m'",
        "[[price]]\nprovider='p'\nmodel='m'\ninput=0.5\noutput=1",
        "[[price]]\nprovider='p'\nmodel='m'\ninput=1\noutput=1\nbatch_share=1.5",
        "rate = 1",
    ],
)
def test_a_price_file_that_cannot_be_used_is_named(tmp_path: Path, entry: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(entry)
    with pytest.raises(PriceFileError, match=r"mine\.toml"):
        load_prices(file)
    with pytest.raises(PriceFileError, match=r"absent\.toml"):
        load_prices(tmp_path / "absent.toml")


ENTRY = '[[price]]\nprovider = "openai"\nmodel = "m"\n'


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[[price]]\n", "price 1 (line 1) has no provider, model, input, output"),
        (f"# mine\n{ENTRY}input = 1\noutput = 2\n\n [[ price ]]\n", "price 2 (line 8) has no provider, model, input"),
        ("", "has no price"),
        (f"{ENTRY}input = 0.15\noutput = 6\n", "price 1, input (line 1): Input should be a valid integer, and is 0.15"),
        (f"{ENTRY}input = 0.15\noutput = 6\n", "150 for $0.15 per million tokens"),
        (f'{ENTRY}input = "1"\noutput = 6\n', "and is '1'"),
        (f"{ENTRY}input = -1\noutput = 6\n", "greater than or equal to 0, and is -1"),
        (f"{ENTRY}input = 1\noutput = 6\ncurrency = 'EUR'\n", "price 1, currency (line 1): Extra inputs"),
        ("[price]\nmodel = 'm'\n", "price: Input should be a valid list"),
        ('{"price": []}', "is not TOML: Invalid statement (at line 1"),
        ("price:\n  - model: m\n", "is not TOML"),
        ("[[price]]\n" * 20, "and 17 more"),
        (b"\x89PNG\xff", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_price_file_is_one_sentence_that_names_the_setting(
    tmp_path: Path, content: str | bytes, told: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PriceFileError) as raised:
        load_prices(file)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"TEAMS_PRICES: {file}")
    assert told in line


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_price_file_may_be_saved_by_any_editor(tmp_path: Path, encoding: str) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('[[price]]\nprovider = "openai"\nmodel = "größer"\ninput = 1\noutput = 2\n', encoding=encoding)
    identity = ModelIdentity("openai", "größer", "https://host/v1")
    assert load_prices(own).cost(identity, Usage(prompt_tokens=3, completion_tokens=5)) == 13
