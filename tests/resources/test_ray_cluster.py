"""What a Ray cluster is asked to run, and what it sets apart for it."""

from __future__ import annotations

import os
import shlex
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from resources.ray_cluster import TRAINS_IN, gpu_tags, job_of, step_variables, steps_executor
from teams_dagster import ray_settings
from teams_dagster.settings import load_settings

FOLDER = Path("/data/a folder")
COMMAND = ["python", "-m", "a.script", str(FOLDER / "request.json")]


def test_a_training_gets_the_gpus_of_its_tag() -> None:
    assert job_of(COMMAND, {}, gpu_tags(2), FOLDER)["entrypoint_num_gpus"] == 2


def test_without_a_tag_no_gpu_is_asked_for() -> None:
    assert gpu_tags(0) == {}
    assert job_of(COMMAND, {}, gpu_tags(0), FOLDER)["entrypoint_num_gpus"] is None


def test_a_command_reaches_the_nodes_shell_word_by_word() -> None:
    assert shlex.split(job_of(COMMAND, {}, {}, FOLDER)["entrypoint"]) == COMMAND


def test_a_job_says_where_it_trains_so_that_it_is_found_when_its_step_is_gone() -> None:
    first, second = (job_of(COMMAND, {"A": "1"}, {}, FOLDER) for _ in range(2))
    assert first["metadata"] == {TRAINS_IN: str(FOLDER)}
    assert first["runtime_env"] == {"env_vars": {"A": "1"}}
    assert first["submission_id"] != second["submission_id"]


def test_steps_stay_on_this_machine_unless_the_cluster_is_to_take_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert steps_executor(load_settings(tmp_path)) is None
    monkeypatch.setattr(ray_settings, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.setenv("TEAMS_RAY_ADDRESS", "http://127.0.0.1:8265")
    assert steps_executor(load_settings(tmp_path)) is None


def test_a_step_gets_the_settings_and_finds_dagster_beside_this_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TEAMS_MODEL", "m")
    monkeypatch.setenv("TEAMS_API_KEY", "sk-planted")
    found = step_variables(load_settings(tmp_path))
    assert {f"TEAMS_DATA_DIR={tmp_path / 'data'}", "TEAMS_MODEL=m"} <= set(found)
    assert f"PATH={Path(sys.executable).parent}{os.pathsep}${{PATH}}" in found
    assert "planted" not in str(found)
