"""What is summed by seed is what the tables say."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest

from teams_dagster.dataset.quality.drift import CostOf, Totals, answer_totals, edit_totals
from teams_dagster.store.tables import write_table

PRICE = 7


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two seeds: of `a` one rewrite is accepted and one refused, and one step rests; of `b` one is accepted."""
    edits = [
        ("a", "breadth", True, 0.8, 2, "long"),
        ("a", "breadth", False, 0.0, 1, None),
        ("a", "none", False, 0.0, 0, "long"),
        ("b", "deepening", True, 0.5, 2, "short"),
    ]
    transitions = [
        {
            "transition_id": f"t{at}",
            "episode_id": seed,
            "seed_id": seed,
            "purpose": "generate",
            "step": at,
            "operation": operation,
            "probability": 1.0,
            "policy": "trained",
            "policy_version": "policy",
            "parent_id": "seed",
            "reward": reward,
            "accepted": accepted,
            "queries": queries,
            "instruction_id": text,
            "rewrite_request_id": f"rewrite {at}" if queries else None,
            "review_request_id": f"review {at}" if queries == 2 else None,
        }
        for at, (seed, operation, accepted, reward, queries, text) in enumerate(edits)
    ]
    samples = [
        {
            "sample_id": f"s{at}",
            "transition_id": f"t{at}",
            "episode_id": seed,
            "step": at,
            "partition_key": "2026-11-02",
            "seed_id": seed,
            "instruction_id": "long",
            "instruction": "",
            "input": "",
            "accepted": accepted,
            "response": response,
            "respond_request_id": request,
        }
        for at, seed, accepted, response, request in (
            (0, "a", True, "Three\nwords  here.", "respond 0"),
            (3, "b", False, "Sorry.", None),
        )
    ]
    texts = {"long": "five words and no more", "short": "two words"}
    write_table(tmp_path, "transitions", transitions)
    write_table(tmp_path, "samples", samples)
    write_table(tmp_path, "instructions", ({"instruction_id": i, "text": t, "input": ""} for i, t in texts.items()))
    return tmp_path


def of(totals: Totals, *columns: str) -> list[list[float]]:
    return [totals[column].tolist() for column in columns]


def test_edits_are_counted_by_seed(folder: Path) -> None:
    totals = edit_totals(folder / "transitions.parquet", folder / "instructions.parquet")
    assert totals["seed_id"].tolist() == ["a", "b"]
    assert of(totals, "steps", "rewrites", "accepted", "queries") == [[3, 1], [2, 1], [1, 1], [3, 2]]
    assert of(totals, "chose_breadth", "chose_none", "chose_deepening") == [[2, 0], [1, 0], [0, 1]]
    assert of(totals, "words", "words_squared") == [[5, 2], [25, 4]]
    assert totals["reward_squared"] == pytest.approx([0.64, 0.25])


def answered(folder: Path, cost_of: CostOf, answers: str = "samples") -> Totals:
    samples, transitions = folder / "samples.parquet", folder / "transitions.parquet"
    return answer_totals(samples, folder / f"{answers}.parquet", transitions, cost_of)


def test_answers_are_counted_by_seed_with_all_that_the_kept_ones_took(folder: Path) -> None:
    def cost_of(request_ids: Collection[str]) -> dict[str, int | None]:
        return dict.fromkeys(request_ids, PRICE)

    totals = answered(folder, cost_of)
    assert of(totals, "samples", "kept", "queries", "words") == [[1, 1], [1, 0], [4, 3], [3, 0]]
    assert of(totals, "cost") == [[4 * PRICE, 2 * PRICE]]


def test_a_cost_that_is_not_known_is_never_guessed(folder: Path) -> None:
    def cost_of(request_ids: Collection[str]) -> dict[str, int | None]:
        return {request: None if request == "respond 0" else PRICE for request in request_ids}

    totals = answered(folder, cost_of)
    assert np.isnan(totals["cost"][0])
    assert totals["cost"][1] == 2 * PRICE


def test_each_of_several_answers_is_a_query_and_is_paid_for(folder: Path) -> None:
    given = [
        {
            "sample_id": sample,
            "answer": number,
            "partition_key": "2026-11-02",
            "accepted": sample == "s0",
            "respond_request_id": f"respond {sample} {number}",
        }
        for sample in ("s0", "s3")
        for number in range(3)
    ]
    write_table(folder, "sample_answers", given)
    totals = answered(folder, lambda ids: dict.fromkeys(ids, PRICE), "sample_answers")
    assert of(totals, "samples", "kept", "queries") == [[1, 1], [1, 0], [6, 5]]
    assert of(totals, "cost") == [[6 * PRICE, 5 * PRICE]]
