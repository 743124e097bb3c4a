"""What scores said of the pairs: which ratings, what was dropped for them, and whether further answers were better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import pyarrow.parquet as pq

from teams_dagster.core.protocol import Purpose
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.quality.scores import Fault, fault_of
from teams_dagster.dataset.scoring import SCORES
from teams_dagster.ledger.costs import Cost
from teams_dagster.report.content import PairRatings, RatedOperation
from teams_dagster.store.artefact_store import Artefact

_RATED_BY = {(TRAINED_ARM.instructions, Purpose.RATE.value), (SCORES, Purpose.RATE.value)}
"""Asset and purpose of the queries that rate pairs: on the way to a target they are asked as it is played."""

Row = Mapping[str, Any]
"""Of table `pair_scores`, with the `operation` that made its instruction."""


def pair_ratings(rows: Sequence[Row], least: float, costs: Iterable[Cost]) -> PairRatings | None:
    """What is shown of scores; None where there are none.

    Args:
        rows: The scores, those of one sample together in the order of its answers.
        least: Pairs of a lower score are not in the dataset; 0: none is left out for its score.
        costs: The account by asset and purpose.
    """
    if not rows:
        return None
    faults = [fault.value for row in rows if (fault := _fault(row, least)) is not None]
    ratings = Counter(row["rating"] for row in rows if row["rating"])
    compared = list(_first_and_later(rows))
    paid = [cost for cost in costs if (cost.group["asset_key"], cost.group["purpose"]) in _RATED_BY]
    return PairRatings(
        pairs=len(rows),
        without_score=sum(row["score"] is None for row in rows),
        ratings=dict(ratings.most_common()),
        least=least,
        dropped=dict(Counter(faults).most_common()),
        by_operation=tuple(_by_operation(rows, least)),
        compared=len(compared),
        later_better=sum(later > first for first, later in compared),
        queries=ratings.total(),
        cost_nano_usd=sum(cost.cost_nano_usd for cost in paid),
        unpriced=sum(cost.unpriced for cost in paid),
    )


def scored_rows(generated: Artefact, responses: Artefact, scores: Artefact) -> list[Row]:
    """The scores of a generation's pairs, each with the operation that made its instruction."""
    operations = _values(generated, "transitions", "transition_id", "operation")
    made_by = _values(responses, "samples", "sample_id", "transition_id")
    rows = pq.read_table(scores.path(f"{SCORES}.parquet")).to_pylist()
    return [row | {"operation": operations[made_by[row["sample_id"]]]} for row in rows]


def _values(artefact: Artefact, table: str, key: str, value: str) -> dict[str, str]:
    columns = pq.read_table(artefact.path(f"{table}.parquet"), columns=[key, value])
    return dict(zip(columns[key].to_pylist(), columns[value].to_pylist(), strict=True))


def _fault(row: Row, least: float) -> Fault | None:
    """Why the pair is not in the dataset; None where its score keeps it, and for an answer that was not chosen."""
    return fault_of(row["score"], row["rating"], row["broken"], least) if row["chosen"] else None


def _first_and_later(rows: Sequence[Row]) -> Iterator[tuple[float, float]]:
    """Of each sample whose first answer has a score, and a later one too: that score, and the best later one."""
    for _, answers in groupby(rows, key=lambda row: row["sample_id"]):
        scores = {row["answer"]: row["score"] for row in answers if row["score"] is not None}
        first = scores.pop(0, None)
        if first is not None and scores:
            yield first, max(scores.values())


def _by_operation(rows: Sequence[Row], least: float) -> Iterable[RatedOperation]:
    for operation in sorted({row["operation"] for row in rows}):
        own = [row for row in rows if row["operation"] == operation]
        scored = [row["score"] for row in own if row["score"] is not None]
        mean = sum(scored) / len(scored) if scored else None
        yield RatedOperation(operation, len(own), mean, sum(_fault(row, least) is not None for row in own))
