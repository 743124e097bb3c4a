"""What the answers behind transitions cost, whoever paid for them first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from teams_dagster.ledger.costs import costs_of
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.parquet import distinct_values
from teams_dagster.store.transition_row import ANSWERS


@dataclass(frozen=True)
class AnswersCost:
    """What distinct answers cost together."""

    nano_usd: int
    """Of those whose price is known."""
    unpriced: int
    """Answers without a known price."""


def answers_cost(ledger: Ledger, transitions: Path) -> AnswersCost:
    """The cost of the answers that a `transitions` table names, each counted once."""
    costs = costs_of(ledger, sorted(distinct_values(transitions, ANSWERS))).values()
    return AnswersCost(sum(cost or 0 for cost in costs), sum(cost is None for cost in costs))
