"""What questions will take, learnt from the ledger or guessed from the prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from teams_dagster.core.protocol import ModelIdentity, Purpose, Role, Usage
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.schema import attempts, results
from teams_dagster.ledger.writer import Ledger
from teams_dagster.pricing.forecast import ENOUGH, RECENT, USUAL_SHARE, QueryForecast, Range, estimate
from teams_dagster.pricing.prices import Price, PriceTable
from teams_dagster.pricing.published_prices import Tariff, Tier

EXPERT = ModelIdentity("openai", "strong", "https://host/v1")
REVIEWER = ModelIdentity("openai", "cheap", "https://host/v1")
RULES = ModelIdentity("offline", "rules", rules_version="1")
IDENTITIES = {Role.EXPERT: EXPERT, Role.REVIEWER: REVIEWER, Role.INSTRUCTOR: RULES}
PRICES = PriceTable((Price("openai", "*", "strong", 1_000, 4_000), Price("openai", "*", "cheap", 100, 400)))
"""A dollar and four dollars for a million tokens; a tenth of that."""


def answers(count: int, **changes: int) -> QueryForecast:
    fields = {"least": count, "likely": count, "most": count, "prompt_bytes": 1_200, "max_tokens": 2_048} | changes
    return QueryForecast(Role.EXPERT, Purpose.RESPOND, **fields)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as ledger:
        yield ledger


def answered(
    ledger: Ledger,
    tokens: Sequence[tuple[int | None, int | None]],
    *,
    model: ModelIdentity = EXPERT,
    purpose: Purpose = Purpose.RESPOND,
    status: str = "ok",
) -> None:
    """Answers on the ledger that took so many tokens of prompt and completion, the latest last."""
    with ledger.engine.begin() as connection:
        first = connection.execute(sa.select(sa.func.count()).select_from(attempts)).scalar_one()
        place = {
            "role": "expert",
            "purpose": purpose.value,
            "provider": model.provider,
            "model": model.model,
            "run_id": "run-1",
            "asset_key": "expert_responses",
        }
        names = [f"request-{first + number}" for number in range(len(tokens))]
        fixed = {"process": "p", "started_at": 1, "row_hash": ""}
        connection.execute(
            sa.insert(attempts),
            [{"request_id": n, "request_key": n, "attempt": 1, **place, **fixed} for n in names],
        )
        connection.execute(
            sa.insert(results),
            [
                {
                    "request_id": name,
                    "status": status,
                    "prompt_tokens": prompt,
                    "completion_tokens": completion,
                    "price_version": "1",
                    "latency_ms": 1.0,
                    "finished_at": 2,
                    "row_hash": "",
                }
                for name, (prompt, completion) in zip(names, tokens, strict=True)
            ],
        )


def test_before_anything_is_learnt_tokens_come_from_the_prompts_and_from_what_completions_may_take():
    found = estimate(None, [answers(100)], IDENTITIES, PRICES)
    assert found.tokens == Range(100 * (200 + 128), 100 * (300 + 512), 100 * (600 + 2_048))
    assert found.nano_usd == Range(100 * (200 + 4 * 128) * 1_000, 100 * (300 + 4 * 512) * 1_000, 100 * 8_792 * 1_000)
    assert found.learnt_from == 0


def test_tokens_are_learnt_from_answers_of_the_same_model_to_the_same_purpose(ledger: Ledger):
    answered(ledger, [(300, 100)] * 50)
    answered(ledger, [(9_000, 9_000)] * 50, purpose=Purpose.REWRITE)
    answered(ledger, [(7_000, 7_000)] * 50, model=REVIEWER)
    answered(ledger, [(5_000, None)] * 50)
    found = estimate(ledger, [answers(100, least=10, most=200)], IDENTITIES, PRICES)
    assert found.tokens == Range(4_000, 40_000, 80_000)
    assert found.nano_usd == Range(7_000_000, 70_000_000, 140_000_000)
    assert found.learnt_from == 50


def test_a_model_that_was_never_asked_is_likely_to_take_what_others_took_within_the_guessed_range(ledger: Ledger):
    answered(ledger, [(400, 200)] * ENOUGH, model=REVIEWER)
    answered(ledger, [(1, 1)] * 500, model=RULES)
    found = estimate(ledger, [answers(10)], IDENTITIES, PRICES)
    guessed = estimate(None, [answers(10)], IDENTITIES, PRICES)
    assert found.tokens == Range(guessed.tokens.least, 6_000, guessed.tokens.most)
    assert (found.learnt_from, found.learnt_elsewhere) == (0, ENOUGH)
    assert str(found).endswith("; learnt from other models")
    both = found + estimate(ledger, [QueryForecast(Role.REVIEWER, Purpose.RESPOND, 1, 1, 1, 9, 9)], IDENTITIES, PRICES)
    assert both.source == "learnt from 20 answers and from other models"


def test_what_others_took_is_not_likely_where_it_cannot_be_taken(ledger: Ledger):
    answered(ledger, [(9_000, 9_000)] * ENOUGH, model=REVIEWER)
    guessed = estimate(None, [answers(10)], IDENTITIES, PRICES)
    assert estimate(ledger, [answers(10)], IDENTITIES, PRICES).tokens == guessed.tokens


def test_a_price_for_writing_to_a_cache_leaves_no_cost_unknown(ledger: Ledger):
    input_, cached, cache_write, output = map(Decimal, (1_000, 100, 1_250, 4_000))
    tariff = Tariff((Tier(-1, input_, cached, cache_write, output),))

    class CacheWritesCost(PriceTable):
        def cost(self, identity: ModelIdentity, usage: Usage, *, batch: bool = False) -> int | None:
            return tariff.cost(usage)

    assert estimate(None, [answers(1)], IDENTITIES, CacheWritesCost(())).nano_usd is not None
    answered(ledger, [(300, 100)] * ENOUGH)
    assert estimate(ledger, [answers(1)], IDENTITIES, CacheWritesCost(())).nano_usd == Range(*[700_000] * 3)


def test_too_few_answers_teach_nothing(ledger: Ledger):
    answered(ledger, [(300, 100)] * (ENOUGH - 1))
    answered(ledger, [(None, None)] * 100, status="failed")
    found = estimate(ledger, [answers(10)], IDENTITIES, PRICES)
    assert found == estimate(None, [answers(10)], IDENTITIES, PRICES)
    assert found.learnt_from == 0


def test_the_latest_answers_count(ledger: Ledger):
    answered(ledger, [(9_000, 9_000)] * 500)
    answered(ledger, [(300, 100)] * RECENT)
    assert estimate(ledger, [answers(10)], IDENTITIES, PRICES).tokens == Range(4_000, 4_000, 4_000)


def test_the_range_holds_what_further_questions_take(tmp_path: Path):
    """Of 60 worlds with answers of very different lengths, alike within chains of six, hardly one falls out."""
    held = []
    for world in range(60):
        random = np.random.default_rng(world)
        chains = random.lognormal(5, 0.8, size=(100, 1)) * random.lognormal(0, 0.2, size=(100, 6))
        taken = [(300, int(tokens)) for tokens in chains.ravel()]
        with Ledger(sqlite_url(tmp_path / f"{world}.sqlite")) as ledger:
            answered(ledger, taken[:240])
            found = estimate(ledger, [answers(360)], IDENTITIES, PRICES).tokens
        held.append(found.least <= sum(prompt + completion for prompt, completion in taken[240:]) <= found.most)
    assert sum(held) >= 0.9 * len(held)


def test_questions_that_repeat_others_take_nothing():
    alone = estimate(None, [answers(100)], IDENTITIES, PRICES)
    repeating = estimate(
        None,
        [QueryForecast(Role.EXPERT, Purpose.RESPOND, 100, 100, 100, 1_200, 2_048, repeated=0.5)],
        IDENTITIES,
        PRICES,
    )
    assert repeating.queries == alone.queries == alone.sent
    assert repeating.sent == Range(50, 50, 100)
    assert repeating.tokens == Range(alone.tokens.least // 2, alone.tokens.likely // 2, alone.tokens.most)


def test_rules_take_no_tokens_and_cost_nothing():
    asked = QueryForecast(Role.INSTRUCTOR, Purpose.REWRITE, 10, 20, 30, 1_200, 2_048)
    found = estimate(None, [asked], IDENTITIES, PriceTable((Price("offline", "*", "*", 0, 0),)))
    assert (found.queries, found.tokens, found.nano_usd) == (Range(10, 20, 30), Range(), Range())
    assert str(found) == "estimate: 20 queries (10 to 30), $0.00"


def test_dollars_are_not_guessed_where_a_price_is_unknown():
    nobody = {Role.EXPERT: ModelIdentity("openai", "nobody-knows", "http://10.0.0.1/v1")}
    found = estimate(None, [answers(1)], nobody, PRICES)
    assert found.nano_usd is None
    assert found.unpriced == ("openai/nobody-knows http://10.0.0.1/v1",)
    assert "dollars unknown: no price is known for openai/nobody-knows" in str(found)


def test_a_model_that_is_not_asked_needs_no_price():
    nobody = {Role.EXPERT: ModelIdentity("openai", "nobody-knows")}
    found = estimate(None, [answers(0)], nobody, PRICES)
    assert found.nano_usd == Range()
    assert str(found) == "estimate: nothing to ask"


def test_the_estimate_is_one_line(ledger: Ledger):
    answered(ledger, [(300, 100)] * 50)
    assert str(estimate(ledger, [answers(3_100, least=960, most=5_760)], IDENTITIES, PRICES)) == (
        "estimate: 3,100 queries (960 to 5,760), 1.2M tokens (384k to 2.3M), $2.17 ($0.67 to $4.03);"
        " learnt from 50 answers"
    )
    assert str(estimate(None, [answers(1)], IDENTITIES, PRICES)).startswith("estimate: 1 query, 812 tokens (328 to")


def test_estimates_add_up_and_what_is_not_known_stays_so():
    one = estimate(None, [answers(1)], IDENTITIES, PRICES)
    assert one + one == estimate(None, [answers(1), answers(1)], IDENTITIES, PRICES)
    unknown = estimate(None, [answers(1)], {Role.EXPERT: ModelIdentity("openai", "nobody-knows")}, PRICES)
    both = one + unknown + unknown
    assert (both.nano_usd, both.unpriced, both.queries) == (None, ("openai/nobody-knows",), Range(3, 3, 3))


def test_batches_cost_what_the_provider_asks_for_batches():
    table = PriceTable((Price("openai", "*", "strong", 1_000, 4_000, batch_share=Decimal("0.5")),))
    direct = estimate(None, [answers(10)], IDENTITIES, table)
    batch = estimate(None, [answers(10)], IDENTITIES, table, batched=[Role.EXPERT])
    assert direct.nano_usd is not None
    assert batch.nano_usd == Range(*(amount // 2 for amount in astuple(direct.nano_usd)))
    assert estimate(None, [answers(10)], IDENTITIES, PRICES, batched=[Role.EXPERT]).nano_usd is None


def test_what_is_expected_must_be_a_range():
    with pytest.raises(ValueError, match="5 to 3 queries with 4 likely is no range"):
        answers(4, least=5, most=3)


def test_every_purpose_has_a_usual_length() -> None:
    assert set(USUAL_SHARE) == set(Purpose) - {Purpose.PROBE}, "a probe is no part of a step's work"
