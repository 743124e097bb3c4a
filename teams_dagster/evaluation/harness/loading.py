"""Benchmarks as the harness's own tasks, with everything that decides their scores written down."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, NamedSplit  # pyright: ignore[reportMissingTypeStubs]
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED  # pyright: ignore[reportMissingTypeStubs]
from lm_eval.tasks import TaskManager  # pyright: ignore[reportMissingTypeStubs]
from lm_eval.tasks import __file__ as _harness_tasks  # pyright: ignore[reportMissingTypeStubs]

from teams_dagster.core.hashing import ID_LENGTH, content_hash
from teams_dagster.evaluation.harness.benchmarks import (
    BENCHMARKS,
    HELD_OUT,
    Benchmark,
    BenchmarkError,
    BenchmarkPlan,
)
from teams_dagster.evaluation.harness.held_out import DATA, LOCAL_TASKS, read_documents
from teams_dagster.evaluation.harness.student import quiet_harness

SEEDS = {
    "random": DEFAULT_RANDOM_SEED,
    "numpy": DEFAULT_OTHER_SEED,
    "torch": DEFAULT_OTHER_SEED,
    "fewshot": DEFAULT_OTHER_SEED,
}
"""What the `lm-eval` command seeds where it is not told otherwise."""
HARNESS_TASKS = Path(_harness_tasks).parent
WHERE_THE_DATA_LIES = ("custom_dataset", "dataset_path", "dataset_name", "dataset_kwargs")
"""Left out of a configuration's hash: the documents themselves are hashed."""


@dataclass(frozen=True)
class TaskRecord:
    """What a benchmark's scores are a function of, beside the model."""

    task: str
    harness_version: str
    task_versions: Mapping[str, str]
    config_hash: str
    documents_hash: str
    """Of the questions asked and of the examples that shots are drawn from."""
    shots: Mapping[str, int]
    shots_from: str
    """`hub`, `file`, `questions` (others of those asked), or `none`."""
    limit: int | None
    seeds: Mapping[str, int]
    chat_template: bool

    @property
    def task_hash(self) -> str:
        """One hash for all of it."""
        return content_hash("benchmark", asdict(self))


@dataclass(frozen=True)
class LoadedBenchmark:
    """A benchmark with its data, ready to be asked."""

    name: str
    tasks: Any
    """The harness's tasks and groups (`TaskDict`)."""
    record: TaskRecord


def load_benchmarks(plan: BenchmarkPlan, held_out: Path | None) -> list[LoadedBenchmark]:
    """The plan's benchmarks, their data read from its files, from `held_out`, or from the hub and its cache.

    Raises BenchmarkError naming the benchmark that the harness does not know or whose data cannot be read.
    """
    with quiet_harness():
        manager = _manager(plan, held_out)
        return [_load(manager, plan, name) for name in plan.names]


def _manager(plan: BenchmarkPlan, held_out: Path | None) -> TaskManager:
    """An index of the folders that the plan needs, or of all of the harness's tasks where it names another."""
    benchmarks = [plan.benchmark(name) for name in plan.names]
    folders = {benchmark.folder for benchmark in benchmarks if benchmark.folder}
    return TaskManager(
        include_path=[LOCAL_TASKS, *(HARNESS_TASKS / folder for folder in sorted(folders))],
        include_defaults=any(
            benchmark.folder is None and benchmark not in HELD_OUT.values() for benchmark in benchmarks
        ),
        metadata={DATA: str(held_out)} if held_out else None,
    )


def _load(manager: TaskManager, plan: BenchmarkPlan, name: str) -> LoadedBenchmark:
    benchmark = plan.benchmark(name)
    if benchmark.task not in manager.task_index:
        raise BenchmarkError(
            f"there is no benchmark {name!r}: name one of {', '.join(BENCHMARKS)}, or a task of lm-eval"
            f" {version('lm-eval')} (`lm-eval ls tasks` lists them)"
        )
    try:
        loaded = _from_files(manager, plan, name) if name in plan.files else manager.load(benchmark.task)
    except OSError as error:
        raise BenchmarkError(
            f"the data of {name} could not be read ({type(error).__name__}: {error}): let this machine reach the hub or"
            " its cache, or give the questions in a file"
        ) from error
    tasks = dict(sorted(loaded["tasks"].items()))
    for task in tasks.values():
        _set_shots(task, benchmark.shots)
        task.set_fewshot_seed(seed=SEEDS["fewshot"])
    return LoadedBenchmark(name, loaded, _record(plan, name, benchmark, tasks))


def _from_files(manager: TaskManager, plan: BenchmarkPlan, name: str) -> dict[str, Any]:
    """The harness's task with other data: what it asks, and how, stays as it is.

    Raises BenchmarkError for a group, whose tasks have a file each, and for too few questions to draw shots from.
    """
    task = plan.benchmark(name).task
    if manager.task_index[task].kind.name not in ("TASK", "PY_TASK"):
        raise BenchmarkError(f"{name} is a group of tasks: name its tasks one by one, each with its file")
    splits: dict[str | NamedSplit, Dataset] = {"test": _read(plan.files[name])}
    if name in plan.shot_files:
        splits["train"] = _read(plan.shot_files[name])
    shots = "train" if "train" in splits else "test"

    def given(**_: object) -> DatasetDict:
        return DatasetDict(splits)

    overrides = {
        "task": task,
        "custom_dataset": given,
        "test_split": "test",
        "validation_split": None,
        "training_split": None,
        "fewshot_split": shots,
    }
    try:
        # A group is the harness's own way to change a registered task; the group itself is of no use here
        loaded = manager.load({"group": "from_files", "task": [overrides]})
    except (KeyError, TypeError, AttributeError) as error:
        raise BenchmarkError(
            f"the rows of {plan.files[name]} have not the shape of {task} ({type(error).__name__}: {error})"
        ) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] != "jinja2":
            raise
        raise BenchmarkError(f"the rows of {plan.files[name]} have not the shape of {task}: {error}") from error
    wanted, there = plan.benchmark(name).shots or 0, len(splits[shots])
    if there <= wanted:
        raise BenchmarkError(f"{name} shows {wanted} examples before each question, and its file has {there} rows")
    return {"tasks": loaded["tasks"]}


def _read(file: Path) -> Dataset:
    return Dataset.from_list(read_documents(file))  # pyright: ignore[reportUnknownMemberType] (the library's own)


def _set_shots(task: Any, shots: int | None) -> None:
    """As the `lm-eval` command does with `--num_fewshot`: a task that says 0 itself keeps it."""
    own = task.get_config("num_fewshot")
    if own is None or (shots is not None and own != 0):
        task.set_config(key="num_fewshot", value=shots or 0)


def _record(plan: BenchmarkPlan, name: str, benchmark: Benchmark, tasks: Mapping[str, Any]) -> TaskRecord:
    shots = {key: int(task.get_config("num_fewshot")) for key, task in tasks.items()}
    return TaskRecord(
        task=benchmark.task,
        harness_version=version("lm-eval"),
        task_versions={key: str(task.VERSION) for key, task in tasks.items()},
        config_hash=content_hash("task configurations", {key: _configuration(task) for key, task in tasks.items()}),
        documents_hash=_documents_hash(tasks, shots, plan.limit),
        shots=shots,
        shots_from=_shots_from(plan, name, any(shots.values())),
        limit=plan.limit,
        seeds=SEEDS,
        chat_template=benchmark.chat,
    )


def _shots_from(plan: BenchmarkPlan, name: str, any_shots: bool) -> str:
    if not any_shots:
        return "none"
    if name in plan.shot_files:
        return "file"
    return "questions" if name in plan.files else "hub"


def _configuration(task: Any) -> Any:
    """A task's configuration as JSON, functions as their source."""
    config: dict[str, Any] = {key: value for key, value in task.dump_config().items() if key not in WHERE_THE_DATA_LIES}
    metadata: dict[str, Any] = config.get("metadata") or {}
    config["metadata"] = {key: value for key, value in metadata.items() if key not in (DATA, "config_source")}
    return json.loads(json.dumps(config, sort_keys=True, default=_source))


def _source(value: Any) -> Any:
    if inspect.isroutine(value):
        return inspect.getsource(value)
    return asdict(value) if hasattr(value, "__dataclass_fields__") else str(value)


def _documents_hash(tasks: Mapping[str, Any], shots: Mapping[str, int], limit: int | None) -> str:
    digest = hashlib.sha256()
    for name, task in tasks.items():
        digest.update(name.encode("utf-8"))
        asked: Sequence[Any] = task.eval_docs
        _update(digest, (asked[i] for i in range(min(limit or len(asked), len(asked)))))
        if shots[name]:
            _update(digest, task.fewshot_docs())
    return digest.hexdigest()[:ID_LENGTH]


def _update(digest: Any, documents: Iterable[Any]) -> None:
    for document in documents:
        digest.update(json.dumps(document, sort_keys=True, default=str).encode("utf-8") + b"\n")
