"""Runs a copy of the project to which a made-up operation and algorithm were added, and prints what it saw as JSON.

    python -m tests.support.extended_run OPERATION ALGORITHM DATA_FOLDER CHECKPOINT

`CHECKPOINT` is a policy that the project trained before the operation was added.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

import teams_dagster
from assets.dataset.generated_instructions import generated_instructions
from assets.policy.policy_comparison import policy_comparison
from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from resources.language_models.offline.guide import proposal
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.instructions.requests import guide_query
from teams_dagster.ledger.costs import costs_by
from teams_dagster.policy.checkpoint import Checkpoint, FeaturesChanged, load_policy
from teams_dagster.policy.comparison.stored import read_policy_scores
from teams_dagster.report.content import Account, DatasetResults, OperationAtStep, PolicyResults, Report
from teams_dagster.report.page import render_report
from tests.support.project import Project

WEEK = "2026-11-02"


def main(operation: Operation, algorithm: str, data: Path, checkpoint: Path) -> None:
    pictures = _recorded_pictures()
    project = _made(operation, algorithm, data)
    curve = load_policy(project.store.current("trained_policy")).curve
    rows = pq.read_table(project.store.current("generated_instructions", WEEK).path("transitions.parquet")).to_pylist()
    seen: dict[str, Any] = {
        "package": teams_dagster.__file__,
        "iterations": [(point.phase, point.update, point.operation_mix[operation.value]) for point in curve],
        "accepted": Counter(row["operation"] for row in rows if row["accepted"]),
        "pictures": pictures,
        "page": _page(project, algorithm, rows),
        "proposed": _proposed_last(operation),
        "refusal": _refusal(checkpoint),
    }
    print(json.dumps(seen))


def _made(operation: Operation, algorithm: str, data: Path) -> Project:
    """A project trained by `algorithm`, compared with always `operation`, with one generation."""
    project = Project(data, draws=True)
    assert project.make(seed_instructions)
    assert project.make(trained_policy, trained_policy={"algorithm": {algorithm: {}}})
    assert project.make(policy_comparison, policy_comparison={"baselines": [operation.value]})
    assert project.make(generated_instructions, week=WEEK)
    return project


def _page(project: Project, algorithm: str, rows: list[dict[str, Any]]) -> str:
    """The report page: of the policy, of the choices in the generation, and of what was asked."""
    scores = read_policy_scores(project.store.current("policy_comparison"))
    curve = load_policy(project.store.current("trained_policy")).curve
    chosen = Counter((row["step"], row["operation"]) for row in rows)
    operations = tuple(OperationAtStep(step, name, count, 0) for (step, name), count in sorted(chosen.items()))
    with project.ledger.open() as ledger:
        costs = tuple(costs_by(ledger, ("role", "operation")))
    return render_report(
        Report(
            policy=PolicyResults(algorithm=algorithm, curve=curve, scores=tuple(scores)),
            dataset=DatasetResults(operations=operations),
            account=Account(by_role_and_operation=costs),
        )
    )


def _recorded_pictures() -> list[list[str]]:
    """The texts on every picture that is drawn from now on."""
    pictures: list[list[str]] = []
    draw = FigureCanvasAgg.draw

    def recorded(self: FigureCanvasAgg) -> None:
        pictures.append([text.get_text() for text in self.figure.findobj(Text) if isinstance(text, Text)])
        draw(self)

    FigureCanvasAgg.draw = recorded
    return pictures


def _proposed_last(operation: Operation) -> str:
    """What the guide proposes where every other operation was refused."""
    past = [(other, False) for other in TEXT_OPERATIONS if other is not operation]
    return proposal(guide_query(Instruction("Name a river."), past, 1, may_rest=False).messages)


def _refusal(checkpoint: Path) -> str:
    """What is said where a policy from before is to act."""
    policy = Checkpoint.load(checkpoint)
    try:
        policy.actor()
    except FeaturesChanged as refused:
        return str(refused)
    return ""


if __name__ == "__main__":
    main(Operation(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
