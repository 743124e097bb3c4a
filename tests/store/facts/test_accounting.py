"""What the assets of the account record, read again from manifests of today and of before."""

from __future__ import annotations

from typing import Any

from teams_dagster.core.metadata import Json
from teams_dagster.store.facts.accounting import CostFacts, ExpertFacts, LineageFacts

WITHOUT_EXPERT: dict[str, Any] = {
    "asked": 3,
    "reused": 1,
    "calls": 2,
    "ok": 2,
    "failed": 0,
    "unresolved": 0,
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "cost_nano_usd": 2_500_000_000,
    "unpriced": 1,
}


def test_an_account_of_before_the_experts_answers_were_counted_is_read() -> None:
    assert CostFacts.model_validate(WITHOUT_EXPERT).expert == ExpertFacts()


def test_a_manifest_holds_every_figure_of_the_account() -> None:
    expert = {
        "rewrites": 4,
        "accepted_rewrites": 3,
        "responses": 3,
        "kept": 2,
        "accepted_per_rewrite": {"trained": 0.75},
    }
    facts = WITHOUT_EXPERT | {"cached_tokens": 7, "group": {}, "expert": expert}
    assert CostFacts.model_validate(facts).model_dump(mode="json") == facts


def test_a_cost_is_shown_in_dollars() -> None:
    shown = CostFacts.model_validate(WITHOUT_EXPERT).shown()
    assert shown["cost_usd"] == 2.5
    assert "cost_nano_usd" not in shown


def test_rows_that_were_not_replayed_are_told_by_reason_also_when_there_are_none() -> None:
    facts = LineageFacts(samples=2, rows_verified=5, not_verified={"a": 1, "b": 2})
    assert facts.rows_not_verified == 3
    assert facts.shown()["why_not"] == Json({"a": 1, "b": 2})
    assert LineageFacts(samples=2, rows_verified=5, not_verified={}).shown()["why_not"] == Json({})
