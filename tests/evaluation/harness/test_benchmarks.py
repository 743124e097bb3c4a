from __future__ import annotations

from pathlib import Path

import pytest

from teams_dagster.evaluation.harness.benchmarks import HELD_OUT, LEADERBOARD, Benchmark, BenchmarkError, BenchmarkPlan
from teams_dagster.evaluation.harness.loading import HARNESS_TASKS


def test_the_leaderboards_shots() -> None:
    shots = {benchmark.task: benchmark.shots for benchmark in LEADERBOARD.values()}
    assert shots == {"arc_challenge": 25, "hellaswag": 10, "mmlu": 5, "truthfulqa_mc2": 0, "gsm8k": 5}


@pytest.mark.parametrize("benchmark", LEADERBOARD.values(), ids=LEADERBOARD)
def test_the_harness_has_each_task_where_it_is_looked_for(benchmark: Benchmark) -> None:
    assert benchmark.folder
    files = (HARNESS_TASKS / benchmark.folder).glob("*.yaml")
    assert any(f": {benchmark.task}\n" in file.read_text(encoding="utf-8") for file in files)


def test_a_name_that_is_not_ours_is_the_harness_task_with_its_own_shots() -> None:
    assert BenchmarkPlan(("lambada_openai",)).benchmark("lambada_openai") == Benchmark("lambada_openai", None)


def test_only_held_out_tasks_need_the_dataset() -> None:
    assert BenchmarkPlan(("gsm8k", *HELD_OUT)).needs_held_out
    assert not BenchmarkPlan(("gsm8k",)).needs_held_out


def test_the_files_version_is_of_their_content(tmp_path: Path) -> None:
    one, same, other = tmp_path / "one", tmp_path / "same", tmp_path / "other"
    for path, text in ((one, "a"), (same, "a"), (other, "b")):
        path.write_text(text)
    versions = [BenchmarkPlan(("gsm8k",), {"gsm8k": path}).files_version for path in (one, same, other)]
    assert versions[0] == versions[1] != versions[2]


@pytest.mark.parametrize(
    ("names", "files", "shot_files", "message"),
    [
        (("arc", "arc"), {}, {}, "named twice: arc"),
        (("arc",), {"gsm8k": "there"}, {}, "'gsm8k', which is not among the benchmarks"),
        (("gsm8k",), {"gsm8k": "missing"}, {}, "file of gsm8k does not exist"),
        (("held_out_choice",), {"held_out_choice": "there"}, {}, "takes no file"),
        (("gsm8k",), {}, {"gsm8k": "there"}, "the questions are not"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused(
    tmp_path: Path,
    names: tuple[str, ...],
    files: dict[str, str],
    shot_files: dict[str, str],
    message: str,
) -> None:
    (tmp_path / "there").write_text("{}")
    asked, shown = ({name: tmp_path / file for name, file in given.items()} for given in (files, shot_files))
    with pytest.raises(BenchmarkError, match=message):
        BenchmarkPlan(names, asked, shown)
