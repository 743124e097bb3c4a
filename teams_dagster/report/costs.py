"""The whole account, as an artefact of `query_costs` holds it, and the dollars per kept pair, ready to be shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.metadata import Detail, Details, Table
from teams_dagster.core.text import NANO, NOT_A_NUMBER, about_dollars
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.pair_costs import PairCost, PairCosts, stored_pair_costs
from teams_dagster.dataset.yields import expert_yield
from teams_dagster.ledger.costs import Cost, costs_by, costs_together
from teams_dagster.ledger.writer import Ledger
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.policy.comparison.stored import read_policy_scores
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.accounting import CostFacts, ExpertFacts

COSTS = "costs.json"

PAIRS = "pair_costs.json"

GROUPED_BY = (
    "asset_key",
    "role",
    "operation",
    "role, operation",
    "provider, model",
    "asset_key, purpose",
    "asset_key, role",
    "asset_key, partition_key",
)


@dataclass(frozen=True)
class Account:
    """What was asked and paid."""

    total: Cost
    groups: Mapping[str, Sequence[Cost]]
    """By the columns that it is grouped by, each of `GROUPED_BY`."""
    pairs: PairCosts
    """What the kept pairs of the generations cost."""

    def versions(self, expert: ExpertFacts) -> dict[str, str]:
        """What an artefact of this account is made from."""
        return {
            "ledger": content_hash(_plain(self.total)),
            "expert": content_hash(expert.model_dump()),
            "pairs": content_hash(_rows(self.pairs)),
        }


def read_account(ledger: Ledger, store: ArtefactStore) -> Account:
    """Add up the ledger, and the pairs of the generations in `store`."""
    every = sorted({column for columns in GROUPED_BY for column in columns.split(", ")})
    apart = costs_by(ledger, every)  # the ledger is read once: each time takes as long as it is large
    groups = {columns: costs_together(apart, columns.split(", ")) for columns in GROUPED_BY}
    [total] = costs_together(apart, ()) or [Cost({})]
    return Account(total, groups, stored_pair_costs(store, ledger))


def write_account(folder: Path, account: Account, expert: ExpertFacts) -> tuple[str, CostFacts]:
    """Write the account into `folder`; returns the hash of its content and its facts."""
    content = {columns: [_plain(cost) for cost in costs] for columns, costs in account.groups.items()}
    (folder / COSTS).write_text(json.dumps(content, indent=1), encoding="utf-8")
    pairs = _rows(account.pairs)
    (folder / PAIRS).write_text(json.dumps(pairs, indent=1), encoding="utf-8")
    facts = CostFacts(**_plain(account.total), expert=expert)
    return content_hash("costs", content, expert.model_dump(), pairs), facts


def read_costs(artefact: Artefact) -> dict[str, tuple[Cost, ...]]:
    """The account in a `query_costs` artefact, by the columns it is grouped by."""
    content = json.loads(artefact.path(COSTS).read_text(encoding="utf-8"))
    return {columns: tuple(Cost(**cost) for cost in costs) for columns, costs in content.items()}


def read_pair_costs(artefact: Artefact) -> PairCosts:
    """What the pairs cost, as a `query_costs` artefact holds it; nothing in one of an earlier version."""
    path = artefact.folder / PAIRS
    if not path.exists():
        return PairCosts()
    return PairCosts(tuple(PairCost(**row) for row in json.loads(path.read_text(encoding="utf-8"))))


def expert_facts(store: ArtefactStore) -> ExpertFacts:
    """What became of the expert's answers in every generation of the trained policy's arm."""
    key = TRAINED_ARM.responses
    answered = [store.current(key, partition) for partition in store.partitions(key)]
    return ExpertFacts(**asdict(expert_yield(store, answered)), accepted_per_rewrite=_per_rewrite(store))


def _per_rewrite(store: ArtefactStore) -> dict[str, float]:
    """The share of each policy's rewrites that were accepted on held-out seeds; of none where nothing was compared."""
    if not store.exists("policy_comparison"):
        return {}
    scores = read_policy_scores(store.current("policy_comparison"))
    return {s.policy: s.mean for s in scores if s.metric == "accepted_per_rewrite" and s.policy in (TRAINED, UNIFORM)}


def _rows(pairs: PairCosts) -> list[dict[str, Any]]:
    return [asdict(row) for row in pairs.rows]


def _plain(cost: Cost) -> dict[str, Any]:
    return asdict(cost) | {"group": dict(cost.group)}


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
