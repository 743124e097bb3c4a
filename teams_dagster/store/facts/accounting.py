"""What the assets of group `accounting` record."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.core.text import NANO
from teams_dagster.store.facts.base import Facts, Hidden, Shown


class ExpertFacts(BaseModel):
    """What became of the expert's answers in the generations."""

    model_config = ConfigDict(frozen=True)

    rewrites: int = 0
    accepted_rewrites: int = 0
    responses: int = 0
    kept: int = 0
    """Responses that became samples."""
    accepted_per_rewrite: dict[str, float] = {}
    """By policy, the share of its rewrites that were accepted on held-out seeds."""


class CostFacts(Facts):
    """Of `query_costs`: the whole account, field by field as in `teams_dagster.ledger.costs.Cost`."""

    asked: int
    reused: int
    calls: int
    ok: int
    failed: int
    unresolved: int
    prompt_tokens: int
    completion_tokens: int
    cost_nano_usd: Annotated[int, Shown("cost_usd", lambda nano_usd: nano_usd / NANO)]
    unpriced: Annotated[int, Shown("calls_without_price")]
    cached_tokens: Annotated[int, Hidden()] = 0
    group: Annotated[dict[str, str | None], Hidden()] = Field(default_factory=dict)
    """Empty: the account is not divided."""
    expert: Annotated[ExpertFacts, Hidden()] = ExpertFacts()


class LineageFacts(Facts):
    """Of `sample_lineage`."""

    samples: int
    rows_verified: int
    """Rows that came out of the ledger as they were stored."""
    not_verified: Annotated[dict[str, int], Shown("why_not")]
    """By reason, the rows that could not be replayed."""
    replayed: int | None = None
    """Generations, and scores of their pairs, that were replayed for this output."""
    replayed_earlier: int | None = None
    """The same that were replayed for an earlier one, and rest on nothing that was changed since."""
    oldest_replay: str | None = None
    """When the first of all of them was replayed, ISO 8601."""

    @property
    def rows_not_verified(self) -> int:
        """Rows that could not be replayed, whatever the reason."""
        return sum(self.not_verified.values())


class ReportFacts(Facts):
    """Of `report`."""

    bytes: Annotated[int, Shown("size_bytes")]
    """Size of the page."""
