"""One small study from the policy to its table, on the offline rules and a student that learns nothing worth having."""

from __future__ import annotations

import gc
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from assets.models.base_model import base_model
from assets.outcome.outcome_scores import outcome_scores
from teams_dagster.evaluation.outcome.arms import ArmPairs
from teams_dagster.evaluation.outcome.plan import ARMS, BASE, COMPARED, TRAINED_COUNTED
from teams_dagster.evaluation.outcome.scores import MEASURES, MINUS, SMALLEST
from teams_dagster.evaluation.outcome.study import read_outcome_scores
from teams_dagster.llm.workers import WorkerPool
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.evaluation import OutcomeFacts
from teams_dagster.store.facts.policy import PolicyFacts
from tests.support.project import Project
from tests.support.small_student import write_student

BEYOND_TRAINING = 60

PAIR = ("seed_id", "instruction", "input", "response")

SMALL: dict[str, Any] = {
    "seeds": 12,
    "rows": 4,
    "students": 3,
    "pairs": 8,
    "prompts": 2,
    "max_new_tokens": 2,
    "student": {"batch_size": 4, "epochs": 1.0, "max_length": 512},
}


@dataclass(frozen=True)
class Made:
    """A finished study."""

    project: Project
    settings: dict[str, Any]
    training_queries: int
    log: tuple[str, ...]

    @property
    def artefact(self) -> Artefact:
        return self.project.store.current("outcome_scores")

    @property
    def facts(self) -> OutcomeFacts:
        return self.artefact.read_facts(OutcomeFacts)


def write_pairs(path: Path) -> None:
    topics = ["harbour", "violin", "orchard", "compass", "glacier", "bakery", "beehive", "lantern", "saddle", "quarry"]
    rows = [
        {
            "instruction": f"Name one thing that somebody who looks after a {topic} worries about in spring.",
            "output": f"Whoever keeps a {topic} worries about frost and about visitors number {number}.",
        }
        for number, topic in enumerate(topics)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def environment(folder: Path) -> dict[str, str]:
    return {
        "TEAMS_DATA_DIR": str(folder),
        "TEAMS_PREFLIGHT": "off",
        "TEAMS_STUDENT": str(folder / "student"),
        "TEAMS_PAIRS": str(folder / "pairs.jsonl"),
    }


@pytest.fixture(scope="module")
def made(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("outcome")
    shutil.copytree(trained, folder, dirs_exist_ok=True)
    write_student(folder / "student")
    write_pairs(folder / "pairs.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder).items():
            patch.setenv(name, value)
        project = Project(folder)
        asked = project.store.current("trained_policy").read_facts(PolicyFacts).questions
        settings = SMALL | {"queries": asked + BEYOND_TRAINING}
        assert project.make(base_model)
        gc.freeze()  # each student ends with a collection, which would look through everything that was imported
        assert project.make(outcome_scores, outcome_scores=settings)
        log = tuple(entry.user_message for entry in project.instance.all_logs(project.last.run_id))
        gc.unfreeze()
        yield Made(project, settings, asked, log)


@pytest.mark.slow
def test_every_arm_asks_no_more_than_the_same_queries_and_the_counted_one_less_what_training_took(made: Made):
    arms = made.facts.arms
    assert set(arms) == set(ARMS)
    everything = made.training_queries + BEYOND_TRAINING
    assert {name: arm.allowed for name, arm in arms.items()} == dict.fromkeys(ARMS, everything) | {
        TRAINED_COUNTED: BEYOND_TRAINING
    }
    assert all(arm.asked <= arm.allowed for arm in arms.values())


@pytest.mark.slow
def test_every_student_is_trained_on_as_many_rows_and_updates(made: Made):
    assert made.facts.rows == SMALL["rows"]
    assert {updates for arm in made.facts.arms.values() for updates in arm.updates} == {1}
    assert {len(arm.updates) for arm in made.facts.arms.values()} == {SMALL["students"]}


@pytest.mark.slow
def test_each_arm_each_difference_and_the_smallest_one_it_could_see_has_a_row_in_each_measure(made: Made):
    scores = read_outcome_scores(made.artefact)
    smallest = {(score.model, score.metric.removesuffix(SMALLEST)) for score in scores if SMALLEST in score.metric}
    told = [score for score in scores if SMALLEST not in score.metric]
    differences = {ours: sum(first == ours for first, _ in COMPARED) for ours, _ in COMPARED}
    counted = Counter(score.model for score in told)
    assert counted == {name: len(MEASURES) * (1 + differences.get(name, 0)) for name in (BASE, *ARMS)}
    varied = {(score.model, score.metric) for score in told if MINUS in score.metric and score.stderr}
    assert smallest == varied


@pytest.mark.slow
def test_no_item_shares_text_with_any_row(made: Made):
    rows = pq.read_table(made.artefact.path("outcome_pairs.parquet")).to_pylist()
    replies = pq.read_table(made.artefact.path("outcome_replies.parquet")).to_pylist()
    assert {row["instruction"] for row in rows}.isdisjoint(reply["prompt"] for reply in replies)


@pytest.mark.slow
def test_its_queries_are_told_before_the_first_and_its_progress_after_each_student(made: Made):
    told = [line for line in made.log if line.startswith(("estimate:", "arm ", "student "))]
    assert told[0].startswith("estimate:")
    assert told[-1].startswith(f"student {SMALL['students'] * len(ARMS)} of {SMALL['students'] * len(ARMS)}")


@pytest.mark.slow
def test_a_study_that_is_there_is_reused_without_a_query(made: Made, monkeypatch: pytest.MonkeyPatch):
    for name, value in environment(made.project.store.root).items():
        monkeypatch.setenv(name, value)
    before = made.project.calls
    assert made.project.make(outcome_scores, outcome_scores=made.settings)
    assert made.project.calls == before


@pytest.mark.slow
def test_the_transitions_of_every_arm_that_rewrites_are_stored_once(made: Made):
    rows = pq.read_table(made.artefact.path("transitions.parquet"), columns=["transition_id", "policy_version"])
    assert len(set(rows["transition_id"].to_pylist())) == rows.num_rows
    assert len(set(rows["policy_version"].to_pylist())) == len({TRAINED, "uniform", "generic_prompt"})


@pytest.mark.slow
def test_several_processes_bring_the_pairs_of_one(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    alone = pq.read_table(made.artefact.path("outcome_pairs.parquet")).to_pylist()
    data = Path(shutil.copytree(made.project.store.root, tmp_path / "data"))
    for name, value in (environment(data) | {"TEAMS_WORKERS": "2"}).items():
        monkeypatch.setenv(name, value)
    brought: dict[str, ArmPairs] = {}
    processes: list[int] = []

    def pool(opened: Any, job: Any, count: int, *rest: Any) -> WorkerPool[Any, Any]:
        processes.append(count)
        return WorkerPool(opened, job, count, *rest)

    def stopped(base: str, arms: dict[str, ArmPairs], *_: Any) -> None:
        brought.update(arms)
        raise RuntimeError("stopped on purpose")

    monkeypatch.setattr("resources.language_models.side_by_side.WorkerPool", pool)
    monkeypatch.setattr("assets.outcome.outcome_scores.run_students", stopped)
    project = Project(data)
    assert not project.make(outcome_scores, outcome_scores=made.settings | {"force": True})
    pairs = [
        (name, pair.seed_id, pair.instruction.text, pair.instruction.input, pair.response)
        for name, arm in brought.items()
        for pair in arm.pairs
    ]
    assert pairs == [tuple(row[column] for column in ("arm", *PAIR)) for row in alone]
    assert project.calls == made.project.calls
    assert processes == [2]
