from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.evaluator import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from teams_dagster.evaluation.harness.benchmarks import HELD_OUT, BenchmarkPlan
from teams_dagster.evaluation.harness.held_out import LOCAL_TASKS
from teams_dagster.evaluation.harness.loading import HARNESS_TASKS
from teams_dagster.evaluation.harness.scores import (
    BenchmarkResult,
    Measure,
    benchmark_models,
    benchmark_scores,
    measures_of,
)
from teams_dagster.evaluation.harness.student import AUTO, CPU_BATCH, HarnessStudent, batch_size_for
from teams_dagster.evaluation.scores import ModelVersions
from teams_dagster.student.loading import load_adapter, load_student

VERSIONS = ModelVersions({"base": "b1", "lora": "l1"}, "d1")
Results = Mapping[tuple[str, str], BenchmarkResult]


def run(
    base: Path, adapter: Path | None, plan: BenchmarkPlan, held_out: Path | None, cache: Path, **versions: str
) -> dict[tuple[str, str], BenchmarkResult]:
    students = {"base": partial(load_student, base)}
    if adapter:
        students["lora"] = partial(load_adapter, base, adapter)
    named = ModelVersions(VERSIONS.models | versions, "d1")
    results = benchmark_models(plan, students, named, held_out=held_out, cache=cache)
    return {(result.model, result.benchmark): result for result in results}


@pytest.fixture(scope="module")
def plan(arithmetic: Path) -> BenchmarkPlan:
    return BenchmarkPlan((*HELD_OUT, "gsm8k"), files={"gsm8k": arithmetic}, limit=6)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def results(base: Path, lora: Path, plan: BenchmarkPlan, held_out: Path, cache: Path) -> Results:
    """Both models on everything, with no way out of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _refuse)
        patch.setattr(socket, "getaddrinfo", _refuse)
        return run(base, lora, plan, held_out, cache)


def _refuse(*to: Any, **_: Any) -> None:
    raise AssertionError(f"the network was asked for: {to}")


def measured(results: Mapping[str, Any]) -> list[Measure]:
    return [measure for task in sorted(results) for measure in measures_of(results, task)]


def ours(results: Results, model: str, *benchmarks: str) -> list[Measure]:
    found = [measure for name in benchmarks for measure in results[model, name].measures]
    return sorted(found, key=lambda measure: measure.task)


@pytest.mark.slow
def test_scores_are_those_of_the_lm_eval_command(base: Path, held_out: Path, results: Results, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--device", "cpu"]
    command += ["--model_args", f"pretrained={base},dtype=float32", "--batch_size", str(CPU_BATCH), "--limit", "6"]
    command += ["--include_path", str(LOCAL_TASKS), "--tasks", *(task.task for task in HELD_OUT.values())]
    command += ["--metadata", json.dumps({"held_out": str(held_out)}), "--apply_chat_template"]
    command += ["--output_path", str(tmp_path / "out")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr[-3000:]
    (written,) = (tmp_path / "out").rglob("results_*.json")
    theirs = measured(json.loads(written.read_text(encoding="utf-8"))["results"])
    assert theirs
    assert ours(results, "base", *HELD_OUT) == theirs


@pytest.mark.slow
def test_an_adapter_scores_what_the_harness_finds_for_it_on_its_base(
    base: Path, lora: Path, held_out: Path, results: Results
) -> None:
    found = direct(base, [task.task for task in HELD_OUT.values()], held_out, chat=True, peft=str(lora))
    assert ours(results, "lora", *HELD_OUT) == found
    assert ours(results, "lora", *HELD_OUT) != ours(results, "base", *HELD_OUT)


@pytest.mark.slow
def test_gsm8k_from_a_file_is_the_harness_task_with_other_data(
    base: Path, arithmetic: Path, plan: BenchmarkPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[str], list[str]]] = []
    generate = HFLM.generate_until

    def kept(lm: HFLM, requests: list[Any], **options: Any) -> list[str]:
        answers = generate(lm, requests, **options)
        asked.append(([request.args[0] for request in requests], answers))
        return answers

    monkeypatch.setattr(HFLM, "generate_until", kept)
    (tmp_path / "gsm8k.yaml").write_text(
        f"include: {HARNESS_TASKS / 'gsm8k' / 'gsm8k.yaml'}\ndataset_path: json\ndataset_name: null\n"
        f"dataset_kwargs:\n  data_files:\n    test: {arithmetic}\n  cache_dir: {tmp_path / 'datasets'}\n"
        "training_split: null\nfewshot_split: test\n"
    )
    only = BenchmarkPlan(("gsm8k",), files=plan.files, limit=6)
    found = run(base, None, only, None, tmp_path / "cache")["base", "gsm8k"]
    assert list(found.measures) == direct(base, [str(tmp_path / "gsm8k.yaml")], None, chat=False)
    ours, theirs = asked
    assert ours == theirs
    assert len(set(ours[0])) == 6


def direct(base: Path, tasks: list[str], held_out: Path | None, *, chat: bool, **model: str) -> list[Measure]:
    """What the harness finds by itself."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = simple_evaluate(
        "hf",
        {"pretrained": str(base), "dtype": "float32", **model},
        tasks=[*tasks],
        batch_size=CPU_BATCH,
        device="cpu",
        limit=6,
        apply_chat_template=chat,
        task_manager=TaskManager(
            include_path=str(LOCAL_TASKS), include_defaults=False, metadata={"held_out": str(held_out)}
        ),
    )
    torch.set_num_threads(threads)
    assert found is not None
    assert "results" in found
    return measured(found["results"])


def test_what_a_score_rests_on_is_written_down(results: Results, arithmetic: Path) -> None:
    found = results["base", "gsm8k"]
    assert found.record["shots"] == {"gsm8k": 5}
    assert found.record["shots_from"] == "questions"
    assert found.record["limit"] == 6
    assert found.record["task_versions"] == {"gsm8k": "3.0"}
    assert found.record["seeds"] == {"random": 0, "numpy": 1234, "torch": 1234, "fewshot": 1234}
    assert (found.device, found.dtype, found.batch_sizes, found.cut_off) == ("cpu", "float32", [CPU_BATCH], 0)
    assert {(measure.metric, measure.n) for measure in found.measures} == {
        ("exact_match,strict-match", 6),
        ("exact_match,flexible-extract", 6),
    }
    assert results["lora", "held_out_choice"].record["chat_template"]
    assert str(arithmetic.parent) not in json.dumps(found.record)


def test_every_measure_has_an_error_over_its_questions(results: Results) -> None:
    for result in results.values():
        assert all(measure.stderr is not None and measure.n == 6 for measure in result.measures)


def test_a_score_that_is_known_is_not_computed_again(
    base: Path, lora: Path, plan: BenchmarkPlan, held_out: Path, cache: Path, results: Results
) -> None:
    def none() -> Any:
        raise AssertionError("a model was loaded")

    again = benchmark_models(plan, {"base": none, "lora": none}, VERSIONS, held_out=held_out, cache=cache)
    assert all(result.cached for result in again)
    assert [result.measures for result in again] == [result.measures for result in results.values()]


@pytest.mark.slow
def test_another_adapter_or_task_costs_only_itself(
    base: Path, lora: Path, plan: BenchmarkPlan, held_out: Path, cache: Path, results: Results
) -> None:
    other = run(base, lora, plan, held_out, cache, lora="l2")
    assert {key for key, result in other.items() if not result.cached} == {("lora", name) for name in plan.names}
    fewer = BenchmarkPlan(("held_out_choice", "gsm8k"), files=plan.files, limit=5)
    assert not any(result.cached for result in run(base, None, fewer, held_out, cache).values())


def test_a_changed_question_is_another_task(
    base: Path, plan: BenchmarkPlan, held_out: Path, cache: Path, results: Results, tmp_path: Path
) -> None:
    changed = tmp_path / "held_out.jsonl"
    changed.write_text(held_out.read_text(encoding="utf-8").replace("number 1?", "number one?"), encoding="utf-8")
    moved = tmp_path / "elsewhere.jsonl"
    moved.write_text(held_out.read_text(encoding="utf-8"), encoding="utf-8")
    choice = BenchmarkPlan(("held_out_choice",), limit=6)
    assert not run(base, None, choice, changed, cache)["base", "held_out_choice"].cached
    assert run(base, None, choice, moved, cache)["base", "held_out_choice"].cached


@pytest.mark.slow
def test_prompts_longer_than_the_context_are_counted(base: Path, cache: Path, tmp_path: Path) -> None:
    rows = [{"question": "word " * 400, "answer": f"#### {i}"} for i in range(7)]
    (tmp_path / "long.jsonl").write_text("\n".join(map(json.dumps, rows)))
    long = BenchmarkPlan(("gsm8k",), files={"gsm8k": tmp_path / "long.jsonl"}, limit=2)
    assert run(base, None, long, None, cache)["base", "gsm8k"].cut_off == 2


def test_rows_are_of_the_dataset_only_where_it_was_asked(results: Results) -> None:
    rows = benchmark_scores(list(results.values()), tuple(HELD_OUT), "d1")
    assert {(row.task, row.dataset_version) for row in rows} == {
        ("teams_held_out_choice", "d1"),
        ("teams_held_out_answer", "d1"),
        ("gsm8k", None),
    }
    assert {(row.model, row.model_version) for row in rows} == {("base", "b1"), ("lora", "l1")}


ANATOMY = {"alias": "anatomy", "sample_len": 3, "acc,none": 0.5, "acc_stderr,none": 0.1}
ASTRONOMY = {"alias": "astronomy", "sample_len": 1, "acc,none": 1.0, "acc_stderr,none": "N/A"}


def test_a_group_is_scored_as_one() -> None:
    together = {"alias": "mmlu", "sample_len": 4, "acc,none": 0.625, "acc_stderr,none": 0.09}
    found = measures_of({"mmlu": together, "anatomy": ANATOMY, "astronomy": ASTRONOMY}, "mmlu")
    assert found == [Measure("mmlu", "acc", 0.625, 0.09, 4)]


def test_a_group_that_does_not_aggregate_is_scored_task_by_task() -> None:
    found = measures_of({"several": {"alias": "several"}, "anatomy": ANATOMY, "astronomy": ASTRONOMY}, "several")
    assert found == [Measure("anatomy", "acc", 0.5, 0.1, 3), Measure("astronomy", "acc", 1.0, None, 1)]


def test_the_batch_size_is_the_given_one_or_what_suits_the_device() -> None:
    assert batch_size_for("cuda", None) == "auto"
    assert batch_size_for("cpu", None) == CPU_BATCH
    assert batch_size_for("cuda", 4) == batch_size_for("cpu", 4) == 4


def test_the_batch_size_that_the_harness_finds_is_recorded(base: Path) -> None:
    student = HarnessStudent(load_student(base), batch_size=AUTO)
    request = Instance("loglikelihood", {}, ("It is the", " owl"), 0, ("task", 0, 1))
    assert len(student.loglikelihood([request])) == 1
    assert student.found_batch_sizes == [student.max_batch_size]
