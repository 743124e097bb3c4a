"""What scores said of the pairs: which ratings, what was dropped for them, and whether further answers were better."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from teams_dagster.core.protocol import Purpose
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.quality.scores import Fault, fault_of
from teams_dagster.dataset.quality.scratch import scratch
from teams_dagster.dataset.scoring import SCORES
from teams_dagster.environment.recording import AT_ONCE
from teams_dagster.ledger.costs import Cost
from teams_dagster.report.content import PairRatings, RatedOperation
from teams_dagster.store.artefact_store import Artefact

_RATED_BY = {(TRAINED_ARM.instructions, Purpose.RATE.value), (SCORES, Purpose.RATE.value)}
"""Asset and purpose of the queries that rate pairs: on the way to a target they are asked as it is played."""

Row = Mapping[str, Any]
"""Of table `pair_scores`, with the `operation` that made its instruction."""


def pair_ratings(rows: Iterable[Row], least: float, costs: Iterable[Cost]) -> PairRatings | None:
    """What is shown of scores; None where there are none.

    Args:
        rows: The scores, those of one sample together in the order of its answers; memory holds one sample's.
        least: Pairs of a lower score are not in the dataset; 0: none is left out for its score.
        costs: The account by asset and purpose.
    """
    found = _Counted()
    for _, answers in groupby(rows, key=lambda row: row["sample_id"]):
        found.add(list(answers), least)
    if not found.pairs:
        return None
    paid = [cost for cost in costs if (cost.group["asset_key"], cost.group["purpose"]) in _RATED_BY]
    return PairRatings(
        pairs=found.pairs,
        without_score=found.pairs - found.scored.total(),
        ratings=dict(found.ratings.most_common()),
        least=least,
        dropped=dict(found.faults.most_common()),
        by_operation=tuple(found.by_operation()),
        compared=found.compared,
        later_better=found.later_better,
        queries=found.ratings.total(),
        cost_nano_usd=sum(cost.cost_nano_usd for cost in paid),
        unpriced=sum(cost.unpriced for cost in paid),
    )


@dataclass
class _Counted:
    """What was counted of scores."""

    pairs: int = 0
    by: Counter[str] = field(default_factory=Counter[str])
    """Pairs by operation."""
    scored: Counter[str] = field(default_factory=Counter[str])
    """Those of them with a score,"""
    scores: defaultdict[str, float] = field(default_factory=lambda: defaultdict[str, float](float))
    """these scores added up,"""
    dropped: Counter[str] = field(default_factory=Counter[str])
    """and those that are not in the dataset."""
    faults: Counter[str] = field(default_factory=Counter[str])
    ratings: Counter[str] = field(default_factory=Counter[str])
    compared: int = 0
    later_better: int = 0

    def add(self, answers: Sequence[Row], least: float) -> None:
        """Count the scores of one sample."""
        self.pairs += len(answers)
        self.ratings.update(row["rating"] for row in answers if row["rating"])
        for row in answers:
            operation, fault = row["operation"], _fault(row, least)
            self.by[operation] += 1
            if row["score"] is not None:
                self.scored[operation] += 1
                self.scores[operation] += row["score"]
            if fault is not None:
                self.faults[fault.value] += 1
                self.dropped[operation] += 1
        if (both := _first_and_later(answers)) is not None:
            self.compared += 1
            self.later_better += both[1] > both[0]

    def by_operation(self) -> Iterator[RatedOperation]:
        """The same of each operation."""
        for operation, count in sorted(self.by.items()):
            scored = self.scored[operation]
            mean = self.scores[operation] / scored if scored else None
            yield RatedOperation(operation, count, mean, self.dropped[operation])


def scored_rows(generated: Artefact, responses: Artefact, scores: Artefact) -> Iterator[Row]:
    """The scores of a generation's pairs in their order, each with the operation that made its instruction."""
    files = {
        "transitions": str(generated.path("transitions.parquet")),
        "samples": str(responses.path("samples.parquet")),
        "scores": str(scores.path(f"{SCORES}.parquet")),
    }
    with scratch() as connection:
        rows = connection.execute(_SCORED, files)
        while batch := rows.fetchmany(AT_ONCE):
            yield from (dict(zip((*_COLUMNS, "operation"), row, strict=True)) for row in batch)


_COLUMNS: tuple[str, ...] = ("sample_id", "answer", "chosen", "score", "rating", "broken")
_SCORED = f"""
select {", ".join(f"scores.{name}" for name in _COLUMNS)}, transitions.operation
from read_parquet($scores, file_row_number = true) as scores
join read_parquet($samples) as samples using (sample_id)
join read_parquet($transitions) as transitions on transitions.transition_id = samples.transition_id
order by scores.file_row_number"""


def _fault(row: Row, least: float) -> Fault | None:
    """Why the pair is not in the dataset; None where its score keeps it, and for an answer that was not chosen."""
    return fault_of(row["score"], row["rating"], row["broken"], least) if row["chosen"] else None


def _first_and_later(answers: Sequence[Row]) -> tuple[float, float] | None:
    """Of a sample whose first answer has a score, and a later one too: that score, and the best later one."""
    scores = {row["answer"]: row["score"] for row in answers if row["score"] is not None}
    first = scores.pop(0, None)
    return (first, max(scores.values())) if first is not None and scores else None
