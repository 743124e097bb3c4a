"""What is worth looking at in generations, in the answers to them, and in datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from teams_dagster.core.metadata import Details, Picture, Table
from teams_dagster.dataset.export import FILES
from teams_dagster.dataset.pair_costs import PairCosts
from teams_dagster.report import pictures
from teams_dagster.report.content import OperationAtStep
from teams_dagster.report.costs import edit_figures, pair_figures
from teams_dagster.report.dataset_results import yield_funnel
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import DatasetFacts

EXAMPLES = 5
"""Rows shown of each output."""

_SAMPLE_COLUMNS = ("instruction", "input", "response")


def generation_preview(generated: Artefact, costs: PairCosts) -> Details:
    """The operations chosen at each step of the episodes, and what an accepted edit cost."""
    picture = pictures.operation_mix_by_step(_operations_by_step(generated))
    return {"operation_mix": Picture(picture, "Operations by step"), **edit_figures(costs)}


def responses_preview(responses: Artefact, costs: PairCosts) -> Details:
    """The first samples, kept or refused, and dollars per kept pair."""
    rows = _first_rows(responses.path("samples.parquet"), _SAMPLE_COLUMNS)
    return {**pair_figures(costs), "examples": Table(_SAMPLE_COLUMNS, rows)}


def scores_preview(scores: Artefact) -> Details:
    """The pairs with the lowest scores."""
    columns = ["sample_id", "answer", "score", "rating", "broken_constraints"]
    rows = pq.read_table(scores.path("pair_scores.parquet"), columns=columns).to_pylist()
    scored = [row for row in rows if row["score"] is not None]
    worst = sorted(scored, key=lambda row: (row["score"], row["sample_id"], row["answer"]))[:EXAMPLES]
    return {"lowest_scores": Table(tuple(columns), [tuple(row.values()) for row in worst])}


def dataset_preview(dataset: Artefact, *, store: ArtefactStore, answered: Sequence[Artefact]) -> Details:
    """Where samples of the `answered` generations were lost, the first training examples, and the files' folder."""
    columns = ["instruction", "input", "output"]
    rows = _first_rows(dataset.path(f"{FILES}/train.parquet"), columns)
    shown: Details = {"examples": Table(_SAMPLE_COLUMNS, rows), "files": dataset.folder / FILES}
    if not answered:
        return shown
    funnel = yield_funnel(store, answered, dataset.read_facts(DatasetFacts).dropped)
    return {"funnel": Picture(pictures.yield_funnel(funnel), "From the edits asked for to the samples kept"), **shown}


def _first_rows(path: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
    first = next(pq.ParquetFile(path).iter_batches(EXAMPLES, columns=list(columns)), None)
    return [tuple(row.values()) for row in first.to_pylist()] if first else []


def _operations_by_step(generated: Artefact) -> list[OperationAtStep]:
    columns = ["step", "operation", "accepted"]
    table = pq.read_table(generated.path("transitions.parquet"), columns=columns)
    counted = table.group_by(["step", "operation"]).aggregate([([], "count_all"), ("accepted", "sum")])
    return [
        OperationAtStep(row["step"], row["operation"], row["count_all"], row["accepted_sum"])
        for row in counted.to_pylist()
    ]
