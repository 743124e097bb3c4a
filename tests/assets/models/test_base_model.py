"""The configured student is looked at before anything is paid for, and taken as it is."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from assets.models.base_model import base_model
from assets.models.checks import student_can_be_trained
from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from teams_dagster.store.facts.models import BaseFacts
from teams_dagster.student.loading import load_student
from teams_dagster.student.stored import student_path
from tests.support.gguf_student import tiny_gguf
from tests.support.layouts import tiny_layout
from tests.support.project import SMALL, Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    return Project(tmp_path / "data")


def run(project: Project, *made: dg.AssetsDefinition | dg.AssetChecksDefinition) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        list(made),
        instance=project.instance,
        resources={"store": project.store, "ledger": project.ledger, "models": project.models},
        run_config={"ops": {"trained_policy": SMALL["trained_policy"]}} if trained_policy in made else {},
        raise_on_error=False,
    )


def test_a_student_that_cannot_be_trained_stops_the_run_before_a_query_is_sent(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = tiny_layout("qwen3", tmp_path)
    (student / "chat_template.jinja").write_text("{% for m in messages %}")
    monkeypatch.setenv("TEAMS_STUDENT", str(student))
    result = run(project, seed_instructions, trained_policy, student_can_be_trained)
    [check] = result.get_asset_check_evaluations()
    assert (check.description or "").startswith(f"TEAMS_STUDENT is {student}, and the chat template cannot be parsed")
    made = [event.asset_key for event in result.get_asset_materialization_events()]
    assert made == [dg.AssetKey("seed_instructions")]
    assert project.calls == 0


def test_the_embedded_student_needs_no_look(project: Project) -> None:
    result = run(project, seed_instructions, student_can_be_trained)
    [check] = result.get_asset_check_evaluations()
    assert check.passed
    assert "not_run" in check.metadata


def test_a_gguf_file_becomes_a_base_that_is_trained_like_any_other(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_STUDENT", str(tiny_gguf(tmp_path)))
    assert run(project, base_model).success
    base = project.store.current("base_model")
    facts = base.read_facts(BaseFacts)
    assert (facts.embedded, facts.template, facts.end_token) == (False, "tokenizer", "<|end|>")
    assert load_student(student_path(base)).template == "tokenizer"
