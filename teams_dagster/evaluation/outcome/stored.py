"""A study as its artefact holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from teams_dagster.evaluation.outcome.plan import OutcomePlan
from teams_dagster.evaluation.outcome.scores import OutcomeScore
from teams_dagster.evaluation.outcome.study import Study
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.evaluation import ArmFacts, OutcomeFacts
from teams_dagster.store.parquet import read_rows


def outcome_facts(study: Study, plan: OutcomePlan, outcomes: Mapping[str, dict[str, Any]]) -> OutcomeFacts:
    """What was done; `outcomes` are those of its queries on the ledger, by purpose."""
    return OutcomeFacts(
        training_queries=plan.training_queries,
        rows=plan.rows,
        students=plan.students,
        pairs=len(study.items.pairs),
        prompts=len(study.items.prompts),
        left_out=dict(study.items.left_out),
        arms={
            name: ArmFacts(
                allowed=plan.allowance(name),
                asked=arm.asked,
                pairs=len(arm.pairs),
                updates=[measured.updates for measured in study.students[name]],
            )
            for name, arm in study.arms.items()
        },
        unanswered=sum(arm.unanswered for arm in study.arms.values()),
        outcomes=dict(outcomes),
    )


def read_outcome_scores(artefact: Artefact) -> list[OutcomeScore]:
    """The scores of an `outcome_scores` artefact."""
    columns = [field.name for field in fields(OutcomeScore)]
    return [OutcomeScore(**row) for row in read_rows(artefact.path("evaluation_scores.parquet"), columns)]
