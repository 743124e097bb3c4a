"""What is worth looking at in the account, beside its total."""

from __future__ import annotations

from teams_dagster.core.metadata import Detail, Details, Picture, Table
from teams_dagster.dataset.yields import PAPER, Yield
from teams_dagster.evaluation.paper import EVOL_INSTRUCT_QUERIES
from teams_dagster.ledger.budgets import dollars
from teams_dagster.ledger.costs import Cost
from teams_dagster.report import pictures
from teams_dagster.report.costs import pair_figures, read_costs, read_pair_costs
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.accounting import CostFacts, ExpertFacts


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
