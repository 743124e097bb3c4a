"""What the order of the two texts does to the verdicts on record, and which came without a probability."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_SUMMARY = """
    select
        count(orders_agree),
        avg((not orders_agree)::int),
        avg(order_difference),
        count(*) filter (verdict <> 'unclear' and verdict_probability is null)
    from (select distinct on (review_request_id) * from read_parquet($transitions) where review_request_id is not null)
    where verdict is not null"""


@dataclass(frozen=True)
class OrderEffect:
    """Figures over reviewed edits, each pair of texts counted once however often it was met."""

    pairs: int
    """Those whose verdicts could be read in both orders."""
    disagree: float | None
    """Share of them whose verdicts differ; None of none."""
    difference: float | None
    """Mean P(Not Equal) in the order of the edit less that the other way round; None where no pair has both."""
    without_probability: int
    """Verdicts that could be read and came without a probability, in one order or in both."""


def order_effect(transitions: Path) -> OrderEffect:
    """The effect of the order in a `transitions` file of this version."""
    import duckdb

    with duckdb.connect() as connection:
        [row] = connection.execute(_SUMMARY, {"transitions": str(transitions)}).fetchall()
    return OrderEffect(*row)
