"""A budget that ends in a dataset: a part of it is kept from the policy, and what cannot be paid is not begun.

What trains or compares a policy may spend a stated share of the project's budget; the rest is for rewrites and answers.
A step that is likely to need more than is left for it is refused before its first query, with what would be enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from teams_dagster.core.text import dollars
from teams_dagster.ledger.budgets import POLICY_SCOPE, Budget, Limit, Spent
from teams_dagster.pricing.forecast import Estimate

POLICY_ASSETS = ("trained_policy", "policy_comparison")
"""What may spend a share of the budget alone."""

_VARIABLES = {"queries": "TEAMS_BUDGET_QUERIES", "tokens": "TEAMS_BUDGET_TOKENS", "nano_usd": "TEAMS_BUDGET_USD"}


class BudgetTooSmall(Exception):
    """A step that is likely to need more than the project's budget leaves for it."""


@dataclass(frozen=True)
class Room:
    """What the project's budget leaves for one step."""

    budget: Budget
    """The most for what the step is a part of."""
    spent: Spent
    """What that has spent."""
    share: Fraction = Fraction(1)
    """How much of the project's budget `budget` is."""

    def times(self, needed: Estimate) -> float:
        """How many times over what is left likely pays what is needed; infinite where it bounds none of that."""
        likely = _likely(needed)
        pairs = ((getattr(self.budget, unit), getattr(self.spent, unit), wanted) for unit, wanted in likely.items())
        return min(
            (max(0, most - used) / wanted for most, used, wanted in pairs if most is not None and wanted),
            default=math.inf,
        )


def _likely(needed: Estimate) -> dict[str, int | None]:
    """The likely figures by the budget's units."""
    nano_usd = None if needed.nano_usd is None else needed.nano_usd.likely
    return {"queries": needed.sent.likely, "tokens": needed.tokens.likely, "nano_usd": nano_usd}


def policy_limit(project: Budget, share: Fraction) -> Limit:
    """What training and comparing the policy may spend."""

    def part(bound: int | None) -> int | None:
        return None if bound is None else int(bound * share)

    return Limit(POLICY_SCOPE, Budget(part(project.queries), part(project.tokens), part(project.nano_usd)))


def refuse_too_small(needed: Estimate, room: Room, advice: str) -> None:
    """Raises BudgetTooSmall where what is likely to be needed does not fit.

    Args:
        needed: What the step, and what its output is of no use without, will likely ask.
        room: What is left for it.
        advice: What else can be done than to raise the budget.
    """
    for unit, wanted in _likely(needed).items():
        most, used = getattr(room.budget, unit), getattr(room.spent, unit)
        if most is None or wanted is None or wanted <= most - used:
            continue
        enough = math.ceil((used + wanted) / room.share)
        show = dollars if unit == "nano_usd" else "{:,}".format
        name = "" if unit == "nano_usd" else f" {unit}"
        kept = f", {float(room.share):.0%} of {_VARIABLES[unit]}" if room.share < 1 else f" of {_VARIABLES[unit]}"
        raise BudgetTooSmall(
            f"{_VARIABLES[unit]} is too small for this step: it likely needs {show(wanted)}{name}, and"
            f" {show(max(0, most - used))} of {show(most)} are left for it{kept}. Nothing was asked. Set"
            f" {_VARIABLES[unit]} to {show(enough)} or more, or {advice}"
        )
