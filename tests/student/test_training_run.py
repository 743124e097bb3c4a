"""What is said of a training that ended without a model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from teams_dagster.student import training_script
from teams_dagster.student.adapter_config import FAILURE, AdapterConfig, TrainingRequest
from teams_dagster.student.training_run import failed_job

SAID = "Ray job teams-training-1 FAILED: Job entrypoint command failed with exit code 1"


def asked(folder: Path, parent: int | None) -> TrainingRequest:
    return TrainingRequest(
        base="base",
        train=folder / "train.parquet",
        validation=folder / "validation.parquet",
        folder=folder,
        config=AdapterConfig(kind="lora"),
        parent=parent,
    )


def test_a_job_that_wrote_down_why_is_told_by_that(tmp_path: Path) -> None:
    (tmp_path / FAILURE).write_text("the base has no layers")
    assert str(failed_job(asked(tmp_path, None), 1, SAID, "")) == "the base has no layers"


def test_a_job_that_was_killed_names_the_settings_that_take_less_memory(tmp_path: Path) -> None:
    said = str(failed_job(asked(tmp_path, None), 137, SAID, "Less memory takes: a smaller batch"))
    assert said.startswith("the training was killed (exit code 137)")
    assert said.endswith("Less memory takes: a smaller batch")


@pytest.mark.parametrize("exit_code", [1, None])
def test_a_job_without_a_word_of_its_own_is_told_by_the_cluster_and_names_the_folder(
    exit_code: int | None, tmp_path: Path
) -> None:
    said = str(failed_job(asked(tmp_path, None), exit_code, SAID, ""))
    assert said.startswith(f"the training ended without a word of its own: {SAID}")
    assert str(tmp_path) in said


@pytest.mark.parametrize(("parent", "bound"), [(None, []), (os.getppid(), [os.getppid()])])
def test_a_job_of_a_cluster_is_bound_to_no_process(
    parent: int | None, bound: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []
    monkeypatch.setattr(training_script, "die_with", found.append)
    monkeypatch.setattr(training_script, "be_killed_first", lambda: None)
    monkeypatch.setattr(training_script, "carry_out", lambda *_, **__: 0)
    assert training_script.main([str(asked(tmp_path, parent).save())]) == 0
    assert found == bound
