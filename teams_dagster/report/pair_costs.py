"""Dollars per kept pair, ready to be shown: a table by operation and step, lines, and numbers that plot."""

from __future__ import annotations

from collections.abc import Sequence

from teams_dagster.core.metadata import Detail, Details, Table
from teams_dagster.core.text import NANO, NOT_A_NUMBER, about_dollars
from teams_dagster.dataset.pair_costs import PairCost, PairCosts

EACH = "dollars_per_kept_pair"
"""The metric in an asset's metadata; `<it>_<operation>` and `<it>_step_<step>` are of an operation and of a step."""

EACH_ACCEPTED = "dollars_per_accepted_edit"


def pair_table(costs: PairCosts) -> Table:
    """Dollars per kept pair: a row for each operation, a column for each step, and both together."""
    of_step = {cost.group["step"]: cost for cost in costs.by(["step"])}
    cells = {(cost.group["operation"], cost.group["step"]): cost for cost in costs.by(["operation", "step"])}
    rows: list[tuple[str, ...]] = []
    for cost in costs.by(["operation"]):
        name = cost.group["operation"]
        rows.append(
            (
                name,
                *(dollars_a_pair(cells.get((name, step))) for step in of_step),
                dollars_a_pair(cost),
                f"{cost.kept:,}",
            )
        )
    total = costs.total
    rows.append(("all", *map(dollars_a_pair, of_step.values()), dollars_a_pair(total), f"{total.kept:,}"))
    return Table(("dollars per kept pair", *(f"step {step}" for step in of_step), "all", "pairs kept"), rows)


def dollars_a_pair(cost: PairCost | None) -> str:
    """Dollars per kept pair, for people: what was paid in vain where none was kept; a dash where nothing was asked."""
    if cost is None or not (cost.nano_usd or cost.unpriced or cost.kept):
        return NOT_A_NUMBER
    if cost.unpriced:
        return f"{about_dollars(cost.nano_usd)} + {cost.unpriced:,} without a price"
    return about_dollars(cost.each) if cost.each is not None else f"{about_dollars(cost.nano_usd)} for none"


def pair_rows(costs: Sequence[PairCost]) -> list[tuple[str, ...]]:
    """Group, edits, accepted, kept, what they cost, and what each kept pair did."""
    return [
        (
            ", ".join(cost.group.values()) or "all",
            *(f"{count:,}" for count in (cost.edits, cost.accepted, cost.kept)),
            about_dollars(cost.nano_usd) + (f" + {cost.unpriced:,} without a price" if cost.unpriced else ""),
            dollars_a_pair(cost),
        )
        for cost in costs
    ]


PAIR_HEADER = ("edits", "accepted", "pairs kept", "cost", "per kept pair")
"""Of `pair_rows`, after the group."""


def pair_figures(costs: PairCosts) -> Details:
    """Numbers that plot over generations, and the table: dollars per kept pair in all, by operation and by step.

    Where nothing cost anything there is the first number alone, 0; what has no known price has no number.
    """
    total = costs.total
    figures: dict[str, Detail] = {} if total.each is None else {EACH: total.each / NANO}
    if not total.nano_usd:
        return figures
    for column, prefix in (("operation", ""), ("step", "step_")):
        for cost in costs.by([column]):
            if cost.each is not None:
                figures[f"{EACH}_{prefix}{cost.group[column]}"] = cost.each / NANO
    return {**figures, f"{EACH}_by_operation_and_step": pair_table(costs)}


def edit_figures(costs: PairCosts) -> Details:
    """The number that plots before a generation is answered: dollars per accepted edit."""
    found = costs.total.each_accepted
    return {} if found is None else {EACH_ACCEPTED: found / NANO}
