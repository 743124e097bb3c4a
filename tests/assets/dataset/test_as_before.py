"""A job that makes the dataset again without a word on answers, scores and threshold keeps what it was made with."""

from __future__ import annotations

import dagster as dg
import pytest

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.dataset.pair_scores import pair_scores
from teams_dagster.definitions import definitions
from teams_dagster.settings import load_settings
from tests.support.project import Project

WEEK = "2026-11-02"
KEPT = ("generated_instructions", "expert_responses", "pair_scores")


@pytest.fixture
def project(untrained: Project) -> Project:
    """A dataset of two answers each with their thoughts, scored by programs, above a threshold."""
    project = untrained
    line = (generated_instructions, expert_responses, pair_scores, instruction_dataset)
    assert project.make(
        *line,
        week=WEEK,
        generated_instructions={"policy": "uniform", "seeds": 30},
        expert_responses={"answers": 2, "reasoning": True},
        pair_scores={"scored_by": "programs"},
        instruction_dataset={"min_score": 1.0},
    )
    return project


def versions(project: Project) -> dict[str, str]:
    return {key: project.version(key, WEEK) for key in KEPT} | {"dataset": project.version("instruction_dataset")}


@pytest.mark.slow
def test_a_retry_keeps_answers_thoughts_scores_and_threshold(project: Project) -> None:
    before, asked = versions(project), project.calls
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions(load_settings()).resolve_job_def("retry_failed")
        result = job.execute_in_process(instance=instance, partition_key=WEEK, raise_on_error=False)
    assert result.success
    assert (versions(project), project.calls) == (before, asked)


@pytest.mark.slow
def test_a_retry_with_other_answers_is_refused(project: Project) -> None:
    asked = project.calls
    assert not project.make(expert_responses, week=WEEK, expert_responses={"only_failed": True, "answers": 3})
    (failure,) = project.last.get_step_failure_events()
    assert "as they were made (answers: 2, max_reasoning_words: 4000)" in str(failure.step_failure_data.error)
    assert project.calls == asked
