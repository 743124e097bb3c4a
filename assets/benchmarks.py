"""Benchmarks of lm-evaluation-harness: what a run names, and what their scores rest on."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from assets.materialize import AssetConfig
from teams_dagster.core.markdown import markdown_table
from teams_dagster.evaluation.choice import Question
from teams_dagster.evaluation.harness.benchmarks import HELD_OUT, BenchmarkPlan
from teams_dagster.evaluation.scores import ModelVersions, Score
from teams_dagster.store.artefact_store import Artefact, ArtefactStore

if TYPE_CHECKING:
    from teams_dagster.student.loading import Student

BENCHMARKS, HELD_OUT_FILE = "benchmarks.json", "held_out.jsonl"
KEPT_SCORES = "benchmarks"
"""The folder of the data folder that keeps benchmark scores by model and task, for every later evaluation."""


class BenchmarkSettings(AssetConfig):
    """Which benchmarks models are scored on beside the dataset's held-out side."""

    benchmarks: list[str] = Field(
        default=[],
        description="What lm-evaluation-harness asks each model: arc, hellaswag, mmlu, truthfulqa, gsm8k (with the"
        " shots of the Open LLM Leaderboard), held_out_choice, held_out_answer, or any of its own tasks by name.",
    )
    benchmark_files: dict[str, str] = Field(
        default={},
        description="By benchmark, the absolute path of its questions in JSON lines, where not the hub's are asked.",
    )
    benchmark_shot_files: dict[str, str] = Field(
        default={},
        description="By benchmark, the absolute path of the examples shown before each question; without, they are"
        " other questions of its file.",
    )
    benchmark_limit: int = Field(default=0, ge=0, description="Questions of each benchmark task at most; 0 for all.")
    benchmark_batch_size: int = Field(default=0, ge=0, description="Questions at once; 0: found automatically.")

    def plan(self) -> BenchmarkPlan:
        """What the harness is to run. Raises BenchmarkError."""
        return BenchmarkPlan(
            names=tuple(self.benchmarks),
            files={name: Path(path) for name, path in self.benchmark_files.items()},
            shot_files={name: Path(path) for name, path in self.benchmark_shot_files.items()},
            limit=self.benchmark_limit or None,
            batch_size=self.benchmark_batch_size or None,
        )


def run_benchmarks(
    plan: BenchmarkPlan,
    students: "Mapping[str, Callable[[], Student]]",
    versions: ModelVersions,
    questions: Sequence[Question],
    folder: Path,
    store: ArtefactStore,
    *,
    seed: int,
    progress: Callable[[str], None],
) -> list[Score]:
    """The rows of the plan's benchmarks; what each rests on, and the held-out questions, are written to `folder`."""
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


def read_benchmarks(artefact: Artefact) -> list[dict[str, Any]]:
    """What each benchmark score of an `evaluation_scores` artefact rests on; empty where none was asked for."""
    path = artefact.folder / BENCHMARKS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def show_benchmarks(artefact: Artefact) -> dict[str, dg.MetadataValue]:
    """The same as metadata."""
    results = read_benchmarks(artefact)
    if not results:
        return {}
    rows = [
        (
            r["model"],
            r["benchmark"],
            ", ".join(sorted({str(shots) for shots in r["record"]["shots"].values()})),
            r["record"]["shots_from"],
            r["record"]["harness_version"],
            r["task_hash"],
            r["cut_off"],
            "cached" if r["cached"] else "asked",
        )
        for r in results
    ]
    header = ("model", "benchmark", "shots", "from", "harness", "task hash", "prompts cut off", "")
    return {"benchmarks": dg.MetadataValue.md(markdown_table(header, rows))}
