"""Benchmarks of lm-evaluation-harness that a plan names, and what their scores rest on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from teams_dagster.evaluation.choice import Question
from teams_dagster.evaluation.harness.benchmarks import HELD_OUT, BenchmarkPlan
from teams_dagster.evaluation.scores import ModelVersions, Score
from teams_dagster.evaluation.stored import BENCHMARKS
from teams_dagster.store.artefact_store import ArtefactStore

if TYPE_CHECKING:
    from teams_dagster.student.loading import Student

HELD_OUT_FILE = "held_out.jsonl"

KEPT_SCORES = "benchmarks"
"""The folder of the data folder that keeps benchmark scores by model and task, for every later evaluation."""


def run_benchmarks(
    plan: BenchmarkPlan,
    students: Mapping[str, Callable[[], Student]],
    versions: ModelVersions,
    questions: Sequence[Question],
    folder: Path,
    store: ArtefactStore,
    *,
    seed: int,
    progress: Callable[[str], None],
) -> list[Score]:
    """Score models on the plan's benchmarks; what each score rests on is written into `folder`.

    Args:
        students: By name, what loads each model.
        questions: The dataset's own held-out questions, for the benchmarks that ask them.
        folder: Where what the scores rest on, and the held-out questions asked, are written.
        store: Keeps scores by model and task, for every later evaluation.
        seed: Root of the random streams that draw the order of choices.
    """
    from teams_dagster.evaluation.harness.held_out import write_held_out
    from teams_dagster.evaluation.harness.scores import benchmark_models, benchmark_scores

    held_out = folder / HELD_OUT_FILE if plan.needs_held_out else None
    if held_out:
        write_held_out(questions, held_out, seed=seed)
    results = benchmark_models(
        plan, students, versions, held_out=held_out, cache=store.root / KEPT_SCORES, progress=progress
    )
    told = json.dumps([asdict(result) for result in results], indent=1)
    (folder / BENCHMARKS).write_text(told, encoding="utf-8")
    return benchmark_scores(results, tuple(HELD_OUT), versions.dataset)
