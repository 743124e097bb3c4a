"""The jobs, as the environment sets them."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

import teams_dagster.automation.jobs as jobs

ON_A_GPU = {"dagster-k8s/config": {"pod_spec_config": {"node_selector": {"pool": "gpu"}}}}

TRAIN_OR_SCORE = {
    *(
        "everything",
        "uniform_arm",
        "fine_tune_and_evaluate",
        "retrain",
        "train_on_pairs",
        "train_rlgf",
        "outcome_study",
    ),
}


def test_runs_of_jobs_that_train_or_score_carry_the_tags_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_TRAINING_TAGS", json.dumps(ON_A_GPU))
    found = runpy.run_path(str(Path(jobs.__file__)))
    tags = {name: job.run_tags or {} for name, job in found.items() if type(job) is type(jobs.retrain)}
    assert {name for name in tags if tags[name]} == TRAIN_OR_SCORE
    assert {name: json.loads(value) for name, value in tags["retrain"].items()} == ON_A_GPU


def test_by_default_no_run_carries_any() -> None:
    assert not jobs.retrain.run_tags
