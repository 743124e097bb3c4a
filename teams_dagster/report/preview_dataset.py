"""What is worth looking at in generations, in the answers to them, in datasets, and in the account of all of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from teams_dagster.core.metadata import Detail, Details, Picture, Table
from teams_dagster.dataset.export import FILES
from teams_dagster.dataset.pair_costs import PairCosts
from teams_dagster.dataset.yields import PAPER, Yield
from teams_dagster.evaluation.paper import EVOL_INSTRUCT_QUERIES
from teams_dagster.ledger.budgets import dollars
from teams_dagster.ledger.costs import Cost
from teams_dagster.report import pictures
from teams_dagster.report.content import OperationAtStep
from teams_dagster.report.costs import edit_figures, pair_figures, read_costs, read_pair_costs
from teams_dagster.report.dataset_results import yield_funnel
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.accounting import CostFacts, ExpertFacts
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


def costs_preview(artefact: Artefact) -> Details:
    """The account of a `query_costs` artefact: tables by each grouping, a picture, and the paper beside it."""
    facts, groups = artefact.read_facts(CostFacts), read_costs(artefact)
    picture = pictures.costs_by_role_and_operation(groups.get("role, operation", ()))
    tables: dict[str, Detail] = {
        f"by_{columns.replace(', ', '_and_')}": Table(
            (columns, "asked", "reused", "attempts", "failed", "cost"), [_row(cost) for cost in costs]
        )
        for columns, costs in groups.items()
    }
    return {
        "share_of_baseline_queries": facts.asked / EVOL_INSTRUCT_QUERIES,
        "expert_answers_per_accepted_pair": Table(
            ("expert answers (rewrites and responses) per accepted pair", ""), expert_lines(facts.expert)
        ),
        **pair_figures(read_pair_costs(artefact)),
        **tables,
        "costs": Picture(picture, "Costs by role and operation"),
    }


def expert_lines(expert: ExpertFacts) -> list[tuple[str, str]]:
    """Expert answers per accepted pair, uniform's and the paper's beside them."""
    measured = Yield(expert.rewrites, expert.accepted_rewrites, expert.responses, expert.kept)
    lines = (
        ("trained policy, measured in the generations", measured.answers_per_pair),
        *(
            (f"{name}, by its rewrites' acceptance on held-out seeds", measured.with_rewrites_accepted_at(share))
            for name, share in sorted(expert.accepted_per_rewrite.items())
        ),
        ("the paper, which keeps everything and never reviews", PAPER),
    )
    return [(name, "-" if value is None else f"{value:.2f}") for name, value in lines]


def _row(cost: Cost) -> tuple[object, ...]:
    group = ", ".join(filter(None, cost.group.values())) or "-"
    return group, cost.asked, cost.reused, cost.calls, cost.failed, _dollars(cost)


def _dollars(cost: Cost) -> str:
    """What a group cost, and how much of it is not known."""
    known = dollars(cost.cost_nano_usd)
    return f"{known} and {cost.unpriced} attempts without a price" if cost.unpriced else known
