"""Dollars per kept pair: what generations cost, by operation and step, over the pairs they brought."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from teams_dagster.dataset.pair_costs import PairCost, PairCosts, pair_costs
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.report.costs import dollars_a_pair, pair_figures, pair_table
from teams_dagster.store.artefact_store import Artefact
from tests.support.entries import begin, settle
from tests.support.memory import most_held

WEEK = "2026-01-05"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as ledger:
        yield ledger


def pay(ledger: Ledger, text: str, nano_usd: int | None) -> str:
    """Have `text` answered for so much; the id of the attempt."""
    begun = begin(text)

    async def steps() -> None:
        await ledger.write(begun)
        settled = settle(begun)
        await ledger.write(replace(settled, result=replace(settled.result, cost_nano_usd=nano_usd)))

    asyncio.run(steps())
    return begun.attempt.request_id


def edit(number: int, operation: str, step: int, rewrite: str | None, review: str | None, *, accepted: bool) -> dict:
    row: dict[str, Any] = {"transition_id": f"t{number}", "partition_key": WEEK, "operation": operation, "step": step}
    asked = {"rewrite_request_id": rewrite, "review_request_id": review}
    return {**row, "accepted": accepted, **asked, "guide_request_id": None, "unread_request_id": None}


def answered(number: int, request: str | None, *, accepted: bool = True) -> dict[str, Any]:
    """The sample made of edit `number`."""
    ids = {"sample_id": f"s{number}", "transition_id": f"t{number}"}
    return {**ids, "accepted": accepted, "respond_request_id": request}


def stored(folder: Path, table: str, rows: list[dict[str, Any]]) -> Artefact:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / f"{table}.parquet")
    return Artefact(folder)


@pytest.fixture
def costs(ledger: Ledger, tmp_path: Path) -> PairCosts:
    """Two edits of step 0, one of them refused, and one of step 1 that asks what was asked before."""
    paid = {name: pay(ledger, name, cost) for name, cost in (("r1", 100), ("v1", 10), ("r2", 200), ("a1", 1_000))}
    generated = stored(
        tmp_path / "generated",
        "transitions",
        [
            edit(1, "breadth", 0, paid["r1"], paid["v1"], accepted=True),
            edit(2, "deepening", 0, paid["r2"], None, accepted=False),
            edit(3, "deepening", 1, paid["r1"], paid["v1"], accepted=True),
        ],
    )
    refused = pay(ledger, "a3", 500)
    samples = [
        answered(1, paid["a1"]),
        answered(3, refused, accepted=False),
    ]
    return pair_costs(ledger, generated, stored(tmp_path / "responses", "samples", samples))


def test_every_answer_is_paid_once_by_the_operation_and_step_that_used_it_first(costs: PairCosts) -> None:
    found = {(c.group["operation"], c.group["step"]): (c.nano_usd, c.kept) for c in costs.by(["operation", "step"])}
    assert found == {("breadth", "0"): (1_110, 1), ("deepening", "0"): (200, 0), ("deepening", "1"): (500, 0)}
    assert costs.total == PairCost({}, edits=3, accepted=2, kept=1, nano_usd=1_810)


def test_a_refused_edit_and_a_refused_answer_make_the_kept_pair_dearer(costs: PairCosts) -> None:
    assert costs.total.each == 1_810
    assert costs.total.each_accepted == 905


def test_each_of_several_answers_is_paid_for_and_they_make_one_pair(ledger: Ledger, tmp_path: Path) -> None:
    first, second, third = (pay(ledger, name, cost) for name, cost in (("a", 1_000), ("b", 300), ("c", 70)))
    generated = stored(tmp_path / "g", "transitions", [edit(1, "breadth", 0, None, None, accepted=True)])
    responses = stored(tmp_path / "s", "samples", [answered(1, second)])
    given = [{"sample_id": "s1", "respond_request_id": name} for name in (first, second, third, None)]
    stored(responses.folder, "sample_answers", given)
    found = pair_costs(ledger, generated, responses)
    assert (found.total.nano_usd, found.total.kept) == (1_370, 1)


def test_pairs_are_told_apart_by_operation_step_and_week_and_nothing_else(costs: PairCosts) -> None:
    assert [c.group for c in costs.by(["partition_key"])] == [{"partition_key": WEEK}]
    assert [c.nano_usd for c in costs.by(["step"], {"operation": "deepening"})] == [200, 500]
    with pytest.raises(ValueError, match="not told apart by role: choose from partition_key, operation, step"):
        costs.by(["role"])


def test_a_cost_that_is_not_known_gives_no_figure(ledger: Ledger, tmp_path: Path) -> None:
    rows = [edit(1, "breadth", 0, pay(ledger, "r", None), pay(ledger, "v", 5), accepted=True)]
    samples = [answered(1, pay(ledger, "a", 7))]
    found = pair_costs(ledger, stored(tmp_path / "g", "transitions", rows), stored(tmp_path / "s", "samples", samples))
    assert found.total.each is None
    assert dollars_a_pair(found.total) == "$0.000000012 + 1 without a price"
    assert "dollars_per_kept_pair" not in pair_figures(found)


def test_numbers_plot_in_all_by_operation_and_by_step(costs: PairCosts) -> None:
    figures = {name: value for name, value in pair_figures(costs).items() if isinstance(value, float)}
    assert figures == {
        "dollars_per_kept_pair": pytest.approx(1.81e-6),
        "dollars_per_kept_pair_breadth": pytest.approx(1.11e-6),
        "dollars_per_kept_pair_step_0": pytest.approx(1.31e-6),
    }


def test_the_table_has_operations_in_rows_and_steps_in_columns(costs: PairCosts) -> None:
    table = pair_table(costs)
    assert table.columns == ("dollars per kept pair", "step 0", "step 1", "all", "pairs kept")
    assert table.rows == [
        ("breadth", "$0.0000011", "–", "$0.0000011", "1"),
        ("deepening", "$0.00000020 for none", "$0.00000050 for none", "$0.00000070 for none", "0"),
        ("all", "$0.0000013", "$0.00000050 for none", "$0.0000018", "1"),
    ]


def test_where_nothing_cost_anything_there_is_one_figure(ledger: Ledger, tmp_path: Path) -> None:
    rows = [edit(1, "breadth", 0, pay(ledger, "r", 0), None, accepted=True)]
    samples = [answered(1, pay(ledger, "a", 0))]
    found = pair_costs(ledger, stored(tmp_path / "g", "transitions", rows), stored(tmp_path / "s", "samples", samples))
    assert pair_figures(found) == {"dollars_per_kept_pair": 0.0}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_pairs(ledger: Ledger, tmp_path: Path) -> None:
    def pairs(count: int) -> tuple[Artefact, Artefact]:
        edits = [edit(n, "breadth", 0, f"rewrite {n}", f"review {n}", accepted=True) for n in range(count)]
        samples = [answered(n, f"answer {n}") for n in range(count)]
        folder = tmp_path / str(count)
        folder.mkdir()
        return stored(folder / "made", "transitions", edits), stored(folder / "answered", "samples", samples)

    few, many = pairs(20_000), pairs(60_000)
    assert most_held(lambda: pair_costs(ledger, *many)) < 1.3 * most_held(lambda: pair_costs(ledger, *few))
