"""Scores of models on benchmarks, each computed once and kept on disk by model version and task hash."""

from __future__ import annotations

import gc
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lm_eval.evaluator import evaluate  # pyright: ignore[reportMissingTypeStubs]
from lm_eval.utils import set_torch_seed  # pyright: ignore[reportMissingTypeStubs]

from teams_dagster.core.files import write_atomically
from teams_dagster.core.hashing import content_hash
from teams_dagster.evaluation.harness.benchmarks import BenchmarkPlan
from teams_dagster.evaluation.harness.loading import SEEDS, LoadedBenchmark, load_benchmarks
from teams_dagster.evaluation.harness.student import HarnessStudent, batch_size_for, quiet_harness
from teams_dagster.evaluation.scores import ModelVersions, Score
from teams_dagster.student.loading import Student, compute_dtype, device
from teams_dagster.student.threads import threads_for

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Measure:
    """A metric of a task, as the harness reports it."""

    task: str
    metric: str
    """With its filter behind a comma where the task has several: `exact_match,strict-match`."""
    value: float
    stderr: float | None
    """The harness's own, over questions; None where it gives none."""
    n: int
    """Questions."""


@dataclass(frozen=True)
class BenchmarkResult:
    """What a model scored on a benchmark, and what that rests on."""

    model: str
    model_version: str
    benchmark: str
    task_hash: str
    record: Mapping[str, Any]
    """The fields of TaskRecord."""
    device: str
    dtype: str
    batch_sizes: Sequence[int]
    cut_off: int
    """Prompts whose beginning was left out because they exceed the model's context."""
    measures: tuple[Measure, ...]
    cached: bool
    """Taken from an earlier evaluation of the same model on the same task."""


def benchmark_models(
    plan: BenchmarkPlan,
    students: Mapping[str, Callable[[], Student]],
    versions: ModelVersions,
    *,
    held_out: Path | None,
    cache: Path,
    progress: Progress = lambda _: None,
) -> list[BenchmarkResult]:
    """Every model of `students` on every benchmark of `plan`; a model is loaded only for what is not in `cache`.

    Raises BenchmarkError for a benchmark that is not known or whose data cannot be read.
    """
    loaded = load_benchmarks(plan, held_out)
    results: list[BenchmarkResult] = []
    for model, load in students.items():
        student: Student | None = None
        for benchmark in loaded:
            place = cache / f"{_key(benchmark, versions.models[model])}.json"
            result = _cached(place, model, benchmark.name)
            if result is None:
                student = student or load()
                result = _run(student, benchmark, plan, model, versions.models[model])
                write_atomically(place, json.dumps(asdict(result), indent=1, sort_keys=True))
            progress(_line(result))
            results.append(result)
        del student
        gc.collect()
    return results


def benchmark_scores(results: Sequence[BenchmarkResult], held_out: Sequence[str], dataset_version: str) -> list[Score]:
    """Rows of `evaluation_scores`; the benchmarks in `held_out` were asked of that dataset, others of none."""
    return [
        Score(
            result.model,
            measure.task,
            measure.metric,
            measure.value,
            measure.stderr,
            measure.n,
            result.model_version,
            dataset_version if result.benchmark in held_out else None,
        )
        for result in results
        for measure in result.measures
    ]


def _key(benchmark: LoadedBenchmark, model_version: str) -> str:
    return content_hash(
        "benchmark score", model_version, benchmark.record.task_hash, device(), str(compute_dtype()).split(".")[-1]
    )


def _run(
    student: Student, benchmark: LoadedBenchmark, plan: BenchmarkPlan, model: str, model_version: str
) -> BenchmarkResult:
    random.seed(SEEDS["random"])
    np.random.seed(SEEDS["numpy"])
    set_torch_seed(SEEDS["torch"])
    with quiet_harness(), threads_for(student.model):
        asked = HarnessStudent(student, batch_size=batch_size_for(student.model.device.type, plan.batch_size))
        found: Any = evaluate(
            lm=asked,
            task_dict=benchmark.tasks,
            limit=plan.limit,
            log_samples=False,
            apply_chat_template=benchmark.record.chat_template,
            fewshot_as_multiturn=True,
        )
    return BenchmarkResult(
        model=model,
        model_version=model_version,
        benchmark=benchmark.name,
        task_hash=benchmark.record.task_hash,
        record=asdict(benchmark.record),
        device=str(student.model.device),
        dtype=str(student.model.dtype).removeprefix("torch."),
        batch_sizes=asked.found_batch_sizes,
        cut_off=asked.cut_off,
        measures=tuple(measures_of(found["results"], benchmark.record.task)),
        cached=False,
    )


def measures_of(results: Mapping[str, Mapping[str, Any]], task: str) -> list[Measure]:
    """The numbers in the harness's `results`: of `task` itself, or of all where that is a mere name for several."""
    own = _measures(task, results.get(task, {}))
    return own or [measure for name in sorted(results) for measure in _measures(name, results[name])]


def _measures(name: str, row: Mapping[str, Any]) -> list[Measure]:
    return [
        Measure(name, key.removesuffix(",none"), float(value), _stderr(row, key), row["sample_len"])
        for key, value in row.items()
        if "," in key and "_stderr," not in key and isinstance(value, int | float)
    ]


def _stderr(row: Mapping[str, Any], key: str) -> float | None:
    metric, _, chosen = key.partition(",")
    value = row.get(f"{metric}_stderr,{chosen}")
    return float(value) if isinstance(value, int | float) else None


def _cached(place: Path, model: str, benchmark: str) -> BenchmarkResult | None:
    if not place.is_file():
        return None
    kept = json.loads(place.read_text(encoding="utf-8"))
    measures = tuple(Measure(**measure) for measure in kept.pop("measures"))
    return BenchmarkResult(**kept | {"model": model, "benchmark": benchmark, "measures": measures, "cached": True})


def _line(result: BenchmarkResult) -> str:
    shown = ", ".join(f"{m.metric} {m.value:.4f}" for m in result.measures[:3])
    return f"{result.model} on {result.benchmark}{' (cached)' if result.cached else ''}: {shown}"
