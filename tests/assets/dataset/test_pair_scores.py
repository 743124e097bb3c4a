"""Scores of pairs: off by default, on the ledger when on, and what a threshold and several answers make of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.dataset.pair_scores import pair_scores
from assets.seeds import seed_instructions
from teams_dagster.cli.run_estimate import estimate_run
from teams_dagster.ledger.costs import costs_by
from teams_dagster.settings import load_settings
from teams_dagster.store.facts.dataset import PairScoreFacts
from tests.support.project import Project

WEEK = "2026-11-02"
JUDGED = {"scored_by": "judge"}


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a generation with answers, nothing scored yet."""
    data = tmp_path_factory.mktemp("answered")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TEAMS_DATA_DIR", str(data))
        project = Project(data)
        assert project.make(seed_instructions)
        settings = {"policy": "uniform", "seeds": 40}
        assert project.make(generated_instructions, week=WEEK, generated_instructions=settings)
        assert project.make(expert_responses, week=WEEK)
    return data


@pytest.fixture
def project(answered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it."""
    data = tmp_path / "data"
    shutil.copytree(answered, data)
    monkeypatch.setenv("TEAMS_DATA_DIR", str(data))
    return Project(data)


def scores(project: Project) -> list[dict[str, object]]:
    return pq.read_table(project.store.current("pair_scores", WEEK).path("pair_scores.parquet")).to_pylist()


def asked(project: Project) -> int:
    with project.ledger.open() as ledger:
        return sum(cost.asked for cost in costs_by(ledger, ["asset_key"]) if cost.group["asset_key"] == "pair_scores")


def why(project: Project) -> str:
    (failure,) = project.last.get_step_failure_events()
    error = failure.step_failure_data.error
    assert error is not None
    return (error.cause or error).message


def test_nobody_scores_by_default_and_the_dataset_is_the_same(project: Project):
    assert project.make(instruction_dataset)
    before = project.version("instruction_dataset")
    assert project.make(pair_scores, week=WEEK)
    assert project.make(instruction_dataset)
    assert (scores(project), asked(project)) == ([], 0)
    assert project.version("instruction_dataset") == before


def test_programs_score_without_a_query(project: Project):
    assert project.make(pair_scores, week=WEEK, pair_scores={"scored_by": "programs"})
    facts = project.store.current("pair_scores", WEEK).read_facts(PairScoreFacts)
    assert asked(project) == 0
    assert len(scores(project)) == facts.pairs > 0
    assert all((row["score"] is None) == (row["constraints"] == 0) for row in scores(project))


def test_the_judge_is_asked_once_about_each_pair_and_a_second_run_asks_nothing(project: Project):
    expected = estimate_run(load_settings(), WEEK, {"pair_scores": JUDGED}, ["pair_scores"])
    assert project.make(pair_scores, week=WEEK, pair_scores=JUDGED)
    calls, pairs = project.calls, len(scores(project))
    assert asked(project) == pairs == expected.total.queries.likely > 0
    assert {row["rating"] for row in scores(project)} <= {"good", "partly", "constraint_ignored", "cannot_tell"}
    assert project.make(pair_scores, week=WEEK, pair_scores={**JUDGED, "force": True})
    assert project.calls == calls


def test_a_threshold_without_scores_is_refused_by_name(project: Project):
    assert not project.make(instruction_dataset, instruction_dataset={"min_score": 0.5})
    assert f"min_score is 0.5, and the pairs of generation {WEEK} have no scores" in why(project)
