"""`teams preflight` looks at the student, too."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from teams_dagster.cli import main
from tests.support.layouts import tiny_layout


def preflight(student: Path) -> Result:
    return CliRunner(env={"TEAMS_STUDENT": str(student)}).invoke(main, ["preflight"])


def test_a_student_that_can_be_trained_passes(tmp_path: Path) -> None:
    result = preflight(tiny_layout("qwen3", tmp_path))
    assert result.exit_code == 0
    assert result.output.startswith("student: passed: 281 tokens, answers end with <|im_end|>")


def test_one_that_cannot_ends_with_1_and_its_setting(tmp_path: Path) -> None:
    student = tiny_layout("qwen3", tmp_path)
    (student / "model.safetensors").unlink()
    result = preflight(student)
    assert result.exit_code == 1
    assert f"student: FAILED: TEAMS_STUDENT is {student}, which holds no weights" in result.output
