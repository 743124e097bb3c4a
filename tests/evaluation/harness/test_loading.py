from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from teams_dagster.evaluation.harness.benchmarks import BenchmarkError, BenchmarkPlan
from teams_dagster.evaluation.harness.loading import load_benchmarks


def test_shots_come_from_their_own_file_where_one_is_given(arithmetic: Path, tmp_path: Path) -> None:
    shots = tmp_path / "train.jsonl"
    shots.write_text("\n".join(json.dumps({"question": f"SHOT {i}?", "answer": f"#### {i}"}) for i in range(6)))
    plan = BenchmarkPlan(("gsm8k",), {"gsm8k": arithmetic}, {"gsm8k": shots})
    (loaded,) = load_benchmarks(plan, None)
    task = loaded.tasks["tasks"]["gsm8k"]
    prompt = task.fewshot_context(task.eval_docs[0], 5)
    assert prompt.count("SHOT") == 5
    assert loaded.record.shots_from == "file"


def test_a_question_is_never_its_own_example(arithmetic: Path) -> None:
    (loaded,) = load_benchmarks(BenchmarkPlan(("gsm8k",), {"gsm8k": arithmetic}), None)
    task = loaded.tasks["tasks"]["gsm8k"]
    for document in task.eval_docs:
        assert task.fewshot_context(document, 5).count(document["question"]) == 1


@pytest.mark.slow
def test_the_task_hash_is_the_same_in_another_process(arithmetic: Path, held_out: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from teams_dagster.evaluation.harness.benchmarks import BenchmarkPlan\n"
        "from teams_dagster.evaluation.harness.loading import load_benchmarks\n"
        "plan = BenchmarkPlan(('gsm8k', 'held_out_answer'), {'gsm8k': Path(sys.argv[1])})\n"
        "print(*[loaded.record.task_hash for loaded in load_benchmarks(plan, Path(sys.argv[2]))])"
    )
    plan = BenchmarkPlan(("gsm8k", "held_out_answer"), {"gsm8k": arithmetic})
    done = subprocess.run(
        [sys.executable, "-c", script, str(arithmetic), str(held_out)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert done.stdout.split() == [loaded.record.task_hash for loaded in load_benchmarks(plan, held_out)]


def test_too_few_rows_for_the_shots_are_refused(tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(json.dumps({"question": "?", "answer": "#### 1"}) for _ in range(5)))
    with pytest.raises(BenchmarkError, match="shows 5 examples before each question, and its file has 5 rows"):
        load_benchmarks(BenchmarkPlan(("gsm8k",), {"gsm8k": few}), None)


@pytest.mark.parametrize("rows", ['{"prompt": "?"}', '{"question": "?"}'])
def test_rows_of_another_shape_are_refused_by_name(tmp_path: Path, rows: str) -> None:
    odd = tmp_path / "odd.jsonl"
    odd.write_text("\n".join([rows] * 8))
    with pytest.raises(BenchmarkError, match=r"odd\.jsonl have not the shape of gsm8k"):
        load_benchmarks(BenchmarkPlan(("gsm8k",), {"gsm8k": odd}), None)


@pytest.mark.parametrize(("text", "message"), [("{", "line 1"), ("[1]", "not an object but list"), ("\n", "no rows")])
def test_a_file_that_is_not_json_lines_is_refused(tmp_path: Path, text: str, message: str) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_benchmarks(BenchmarkPlan(("gsm8k",), {"gsm8k": broken}), None)


def test_files_for_a_group_are_refused(arithmetic: Path) -> None:
    with pytest.raises(BenchmarkError, match="mmlu is a group of tasks"):
        load_benchmarks(BenchmarkPlan(("mmlu",), {"mmlu": arithmetic}), None)


@pytest.mark.slow
def test_a_benchmark_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="there is no benchmark 'gsm9k'"):
        load_benchmarks(BenchmarkPlan(("gsm9k",)), None)


@pytest.mark.slow
def test_a_hub_out_of_reach_names_the_benchmark_and_the_way_out(tmp_path: Path) -> None:
    script = (
        "from teams_dagster.evaluation.harness.benchmarks import BenchmarkPlan\n"
        "from teams_dagster.evaluation.harness.loading import load_benchmarks\n"
        "load_benchmarks(BenchmarkPlan(('arc',)), None)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert "BenchmarkError: the data of arc could not be read" in done.stderr
    assert "give the questions in a file" in done.stderr
