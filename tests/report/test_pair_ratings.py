"""What the report says of scores: counted from their rows."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from teams_dagster.ledger.costs import Cost
from teams_dagster.report.content import PairRatings, RatedOperation
from teams_dagster.report.pair_ratings import pair_ratings, scored_rows
from teams_dagster.store.artefact_store import Artefact
from tests.support.memory import most_held

PAID = {
    ("generated_instructions", "rewrite"): 4_000,
    ("generated_instructions", "rate"): 50,
    ("expert_responses", "respond"): 900,
    ("pair_scores", "rate"): 7,
    ("preflight", "rate"): 30,
}
COSTS = [
    Cost({"asset_key": asset, "purpose": purpose}, cost_nano_usd=paid, unpriced=1)
    for (asset, purpose), paid in PAID.items()
]


def row(sample: str, answer: int, rating: str, score: float | None, *, chosen: bool, operation: str) -> dict[str, Any]:
    ids = {"sample_id": sample, "answer": answer, "operation": operation}
    return {**ids, "rating": rating, "score": score, "chosen": chosen, "broken": 0}


ROWS = (
    row("a", 0, "partly", 0.5, chosen=False, operation="breadth"),
    row("a", 2, "good", 1.0, chosen=True, operation="breadth"),
    row("b", 0, "off_topic", 0.0, chosen=True, operation="deepening"),
    row("b", 1, "off_topic", 0.0, chosen=False, operation="deepening"),
    row("c", 0, "cannot_tell", None, chosen=True, operation="deepening"),
)


@pytest.fixture
def shown() -> PairRatings:
    found = pair_ratings(ROWS, 0.6, COSTS)
    assert found is not None
    return found


def test_ratings_are_counted_with_what_they_cost_on_the_way_to_a_target_too(shown: PairRatings) -> None:
    assert (shown.pairs, shown.without_score, shown.queries) == (5, 1, 5)
    assert (shown.cost_nano_usd, shown.unpriced) == (57, 2)
    assert shown.ratings == {"off_topic": 2, "partly": 1, "good": 1, "cannot_tell": 1}


def test_only_a_chosen_answer_can_be_left_out_for_its_score(shown: PairRatings) -> None:
    assert shown.dropped == {"off_topic": 1}
    assert shown.by_operation == (
        RatedOperation("breadth", 2, 0.75, 0),
        RatedOperation("deepening", 3, 0.0, 1),
    )


def test_a_later_answer_is_better_where_it_scores_more_than_the_first(shown: PairRatings) -> None:
    assert (shown.compared, shown.later_better) == (2, 1)


def test_where_the_first_answer_has_no_score_no_later_one_is_compared_with_it() -> None:
    refused_first = [row("d", n, "good", n / 2, chosen=n == 2, operation="breadth") for n in (1, 2)]
    without_score = [row("e", 0, "cannot_tell", None, chosen=False, operation="breadth")]
    without_score += [row("e", n, "good", n / 2, chosen=n == 2, operation="breadth") for n in (1, 2)]
    found = pair_ratings((*ROWS, *refused_first, *without_score), 0.6, COSTS)
    assert found is not None
    assert (found.compared, found.later_better) == (2, 1)


def test_without_scores_there_is_nothing_to_show() -> None:
    assert pair_ratings((), 0.0, COSTS) is None


def scored_generation(folder: Path, scores: int, reply: str = "") -> tuple[Artefact, Artefact, Artefact]:
    """Instructions, answers and scores of two edits, and of one answer after the other to these."""
    tables = {
        "transitions": [
            {"transition_id": f"t{n}", "operation": name} for n, name in enumerate(("breadth", "deepening"))
        ],
        "samples": [{"sample_id": f"s{n}", "transition_id": f"t{n}"} for n in range(2)],
        "pair_scores": [
            {**row(f"s{n * 2 // scores}", n, "good", 1.0, chosen=n == 0, operation=""), "reply": f"{n} {reply}"}
            for n in range(scores)
        ],
    }
    for table, rows in tables.items():
        pq.write_table(
            pa.Table.from_pylist(rows).drop_columns([] if table != "pair_scores" else ["operation"]),
            folder / f"{table}.parquet",
        )
    return Artefact(folder), Artefact(folder), Artefact(folder)


def test_scores_come_in_their_order_with_the_operation_behind_them(tmp_path: Path) -> None:
    found = [
        (each["sample_id"], each["answer"], each["operation"]) for each in scored_rows(*scored_generation(tmp_path, 4))
    ]
    assert found == [("s0", 0, "breadth"), ("s0", 1, "breadth"), ("s1", 2, "deepening"), ("s1", 3, "deepening")]


def test_memory_does_not_hold_what_the_judge_replied(tmp_path: Path) -> None:
    made = scored_generation(tmp_path, 8_000, "because " * 200)
    assert most_held(lambda: deque(scored_rows(*made), maxlen=1)) < 8_000 * 1_600 / 4
