"""The providers' own prices: by address, by day, by tier, and never by a model's name alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices.data import providers
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.protocol import Usage
from teams_dagster.pricing.published_prices import NOT_BILLED_BY_LIST, Tariff, published_tariffs

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

URLS = {
    "anthropic": "https://api.anthropic.com/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "fireworks": "https://api.fireworks.ai/inference/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta/openai",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "openai": "https://api.openai.com/v1",
    "together": "https://api.together.xyz/v1",
    "x-ai": "https://api.x.ai/v1",
}
PREFIXES = {"fireworks": "accounts/fireworks/models/"}
MODELS = [
    (URLS[each.id], PREFIXES.get(each.id, "") + model.id)
    for each in providers
    if each.id in URLS
    for model in each.models
]
PRICED = [
    (url, name, batch)
    for url, name in MODELS
    for batch in (False, True)
    if published_tariffs(url, name, NOW, batch=batch)
]


def tariff(url: str, model: str, at: datetime = NOW, *, batch: bool = False) -> Tariff:
    return published_tariffs(url, model, at, batch=batch)[0]


@pytest.mark.parametrize(("provider", "url"), URLS.items())
def test_each_of_the_common_providers_is_known_by_its_address(provider: str, url: str) -> None:
    assert any(address == url for address, _, _ in PRICED), provider


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1",
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com.example/v1",
        "https://my-api.openai.com/v1",
        "https://proxy.internal/api.openai.com/v1",
        "https://proxy.internal/x.googleapis.com/v1",
        "https://my.openai.azure.com/openai/v1",
        "https://openrouter.ai/api/v1",
        "",
    ],
)
@pytest.mark.parametrize("model", ["gpt-4o-mini", "openai/gpt-4o-mini", "gemini-2.5-flash"])
def test_a_models_name_alone_is_no_price(url: str, model: str) -> None:
    assert published_tariffs(url, model, NOW) == ()


def test_the_providers_left_out_are_in_the_table() -> None:
    assert NOT_BILLED_BY_LIST.keys() <= {provider.id for provider in providers}


def test_models_that_bill_their_searches_have_no_price() -> None:
    assert published_tariffs(URLS["openai"], "gpt-4o-search-preview", NOW) == ()


def test_a_name_that_only_begins_like_a_known_one_has_no_price() -> None:
    assert published_tariffs(URLS["openai"], "gpt-4o-mini-mine", NOW) == ()


def test_a_long_prompt_makes_all_its_tokens_dearer() -> None:
    sonnet = tariff(URLS["anthropic"], "claude-sonnet-4-5")
    assert sonnet.cost(Usage(200_000, 0, 1_000)) == 200_000 * 3_000 + 1_000 * 15_000
    assert sonnet.cost(Usage(200_001, 0, 1_000)) == 200_001 * 6_000 + 1_000 * 22_500
    assert sonnet.bound(200_000, 1_000) < sonnet.bound(200_001, 1_000)


def test_writing_to_a_cache_is_charged_where_the_provider_charges_for_it() -> None:
    luna = tariff(URLS["openai"], "gpt-6-luna")
    assert luna.cost(Usage(1_000, 100, 10, None, 500)) == 400 * 100 + 100 * 10 + 500 * 125 + 10 * 500
    assert luna.cost(Usage(1_000, 100, 10)) is None
    assert luna.bound(1_000, 10) == 1_000 * 125 + 10 * 500


def test_where_caching_needs_asking_what_is_not_reported_about_it_is_zero() -> None:
    haiku = tariff(URLS["anthropic"], "claude-haiku-4-5")
    assert haiku.cost(Usage(1_000, None, 10)) == 1_000 * 1_000 + 10 * 5_000


def test_a_batch_has_the_price_that_the_provider_states_for_it_or_none() -> None:
    usage = Usage(1_000, 100, 100)
    assert tariff(URLS["openai"], "gpt-4o-mini", batch=True).cost(usage) == 900 * 75 + 100 * 75 + 100 * 300
    assert published_tariffs(URLS["together"], "meta-llama/Llama-3.3-70B-Instruct-Turbo", NOW)
    assert published_tariffs(URLS["together"], "meta-llama/Llama-3.3-70B-Instruct-Turbo", NOW, batch=True) == ()
    before_it_was_published = datetime(2026, 10, 1, tzinfo=UTC)
    assert published_tariffs(URLS["openai"], "gpt-4o-mini", before_it_was_published, batch=True) == ()


def test_a_price_by_the_hour_is_the_hours_and_its_bound_the_days() -> None:
    night, day = datetime(2026, 11, 20, 0, 29, tzinfo=UTC), datetime(2026, 11, 20, 0, 30, tzinfo=UTC)
    million = Usage(1_000_000, 0, 0)
    cheap, dear = (published_tariffs(URLS["deepseek"], "deepseek-chat", moment) for moment in (night, day))
    assert (cheap[0].cost(million), dear[0].cost(million)) == (135_000_000, 270_000_000)
    assert set(cheap) == set(dear)


@given(
    st.sampled_from(PRICED),
    st.integers(0, 400_000),
    st.integers(0, 100_000),
    st.lists(st.floats(0, 1), min_size=5, max_size=5),
    st.timedeltas(timedelta(0), timedelta(days=1)),
)
def test_a_bound_bounds_every_call_within_it(
    priced: tuple[str, str, bool], prompt: int, completion: int, parts: list[float], later: timedelta
) -> None:
    url, model, batch = priced
    bound = max(each.bound(prompt, completion) for each in published_tariffs(url, model, NOW, batch=batch))
    asked, said = int(prompt * parts[0]), int(completion * parts[1])
    cached = int(asked * parts[2])
    usage = Usage(asked, cached, said, int(said * parts[4]), int((asked - cached) * parts[3]))
    cost = tariff(url, model, NOW + later, batch=batch).cost(usage)
    assert cost is not None
    assert 0 <= cost <= bound


@given(
    st.sampled_from([each for each in MODELS if published_tariffs(each[0], each[1], NOW)]),
    st.integers(0, 400_000),
    st.integers(0, 100_000),
    st.floats(0, 1),
)
def test_costs_are_the_librarys_to_the_nano_dollar(
    known: tuple[str, str], prompt: int, completion: int, share: float
) -> None:
    url, name = known
    cached = int(prompt * share)
    provider = next(each for each in providers if URLS.get(each.id) == url)
    model = provider.find_model(name, all_providers=providers)
    assert model is not None
    price = model.get_prices(NOW)
    reads_cache = price.cache_read_mtok is not None
    theirs = price.calc_price(
        TheirUsage(input_tokens=prompt, cache_read_tokens=cached if reads_cache else 0, output_tokens=completion)
    )
    ours = tariff(url, name).cost(Usage(prompt, cached, completion, None, 0))
    assert ours is not None
    assert abs(ours - theirs["total_price"] * 10**9) <= 0.5
