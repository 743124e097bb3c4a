"""Scores of pairs: off by default, on the ledger when on, and what a threshold and several answers make of them."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from assets.accounting.sample_lineage import sample_lineage
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.dataset.pair_scores import pair_scores
from teams_dagster.automation.run_estimate import estimate_run
from teams_dagster.cli import main
from teams_dagster.ledger.costs import costs_by
from teams_dagster.lineage.replay_scores import replay_scores
from teams_dagster.lineage.trace import trace
from teams_dagster.lineage.tree import lineage_lines
from teams_dagster.settings import load_settings
from teams_dagster.store.facts.accounting import LineageFacts
from teams_dagster.store.facts.dataset import DatasetFacts, GenerationFacts, PairScoreFacts
from teams_dagster.store.integrity import Verification
from tests.support.failures import why
from tests.support.openai_server import OpenAIServer
from tests.support.project import Project
from tests.support.scripted_roles import judge_at

WEEK = "2026-11-02"
JUDGED = {"scored_by": "judge"}


@pytest.fixture(scope="module")
def answered(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a generation with answers, nothing scored yet."""
    data = Path(shutil.copytree(seeded, tmp_path_factory.mktemp("answered"), dirs_exist_ok=True))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TEAMS_DATA_DIR", str(data))
        project = Project(data)
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


def scores(project: Project) -> list[dict[str, Any]]:
    return pq.read_table(project.store.current("pair_scores", WEEK).path("pair_scores.parquet")).to_pylist()


def asked(project: Project) -> int:
    with project.ledger.open() as ledger:
        return sum(cost.asked for cost in costs_by(ledger, ["asset_key"]) if cost.group["asset_key"] == "pair_scores")


@pytest.mark.slow
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


def test_an_estimate_of_more_answers_or_of_their_thoughts_counts_only_what_is_missing(project: Project):
    def estimated(**config: Any) -> tuple[int, bool]:
        ((_, found, reused),) = estimate_run(
            load_settings(), WEEK, {"expert_responses": config}, ["expert_responses"]
        ).steps
        return found.queries.likely, reused

    accepted = project.store.current("generated_instructions", WEEK).read_facts(GenerationFacts).accepted
    assert estimated(answers=3) == (2 * accepted, False)
    assert estimated(reasoning=True) == (0, False)
    before = project.calls
    assert project.make(expert_responses, week=WEEK, expert_responses={"answers": 3})
    assert project.calls - before == 2 * accepted
    assert estimated(answers=3, reasoning=True) == (0, False)
    assert project.make(expert_responses, week=WEEK, expert_responses={"answers": 3, "reasoning": True})
    assert estimated(answers=3, reasoning=True) == (0, True)


def test_a_threshold_without_scores_is_refused_by_name(project: Project):
    assert not project.make(instruction_dataset, instruction_dataset={"min_score": 0.5})
    assert f"min_score is 0.5, and the pairs of generation {WEEK} have no scores" in why(project)


def test_every_score_is_replayed_from_the_ledger_and_shown_in_the_lineage(project: Project):
    assert project.make(pair_scores, week=WEEK, pair_scores=JUDGED)
    assert project.make(sample_lineage)
    verified = project.store.current("sample_lineage").read_facts(LineageFacts).rows_verified
    rows = scores(project)
    with duckdb.connect(project.ledger.read_model, read_only=True) as connection:
        found = trace(connection, rows[0]["sample_id"])
        (transitions, samples) = connection.execute(
            "select (select count(*) from transitions), (select count(*) from samples)"
        ).fetchone() or (0, 0)
    assert verified == transitions + samples + len(rows)
    assert [(score.rating, score.reply) for score in found.scores] == [
        (rows[0]["rating"], rows[0]["rating"].replace("_", " "))
    ]
    assert any(f"rated {rows[0]['rating']}" in line for line in lineage_lines(found))


def test_a_rating_that_is_not_what_the_judge_wrote_fails_the_lineage(project: Project):
    assert project.make(pair_scores, week=WEEK, pair_scores=JUDGED)
    responses, stored = project.store.current("expert_responses", WEEK), project.store.current("pair_scores", WEEK)
    path = stored.path("pair_scores.parquet")
    table = pq.read_table(path)
    forged = ["off_topic", *table["rating"].to_pylist()[1:]]
    pq.write_table(table.set_column(table.schema.get_field_index("rating"), "rating", pa.array(forged)), path)
    into = Verification()
    with project.ledger.open() as ledger:
        asyncio.run(replay_scores(ledger, responses, stored, into))
    assert [(difference.column, difference.stored) for difference in into.differences] == [("rating", "off_topic")]


@pytest.mark.slow
def test_of_several_answers_the_best_is_taken_and_leaves_with_a_worse_one_for_preference_training(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    one = project.version("expert_responses", WEEK)
    assert project.make(expert_responses, week=WEEK, expert_responses={"answers": 3})
    assert project.version("expert_responses", WEEK) != one
    given = pq.read_table(project.store.current("expert_responses", WEEK).path("sample_answers.parquet")).to_pylist()
    assert not project.make(instruction_dataset)
    assert "several answers to each instruction" in why(project)

    judge_at(openai_server, monkeypatch, lambda user: "good" if is_last(user, given) else "partly")
    assert project.make(pair_scores, week=WEEK, pair_scores=JUDGED)
    assert project.make(instruction_dataset)
    assert project.make(sample_lineage)
    best = {(row["sample_id"], row["answer"]): row["score"] for row in scores(project)}
    chosen = {row["sample_id"]: row for row in scores(project) if row["chosen"]}
    assert all(row["score"] == max(s for (name, _), s in best.items() if name == key) for key, row in chosen.items())

    out = tmp_path / "preference"
    command = ["export", "--format", "preference", "--split", "train", "--to", str(out)]
    assert CliRunner(env={"TEAMS_DATA_DIR": str(project.store.root)}).invoke(main, command).exit_code == 0
    rows = [json.loads(line) for line in (out / "train.preference.jsonl").read_text().splitlines()]
    assert rows
    text = {(row["sample_id"], row["answer"]): row["response"] for row in given}
    taken = {text[key, row["answer"]] for key, row in chosen.items()}
    for row in rows:
        assert [message["role"] for message in (*row["prompt"], *row["chosen"], *row["rejected"])] == [
            "user",
            "assistant",
            "assistant",
        ]
        assert row["chosen"][0]["content"] in taken
        assert row["rejected"] != row["chosen"]


def is_last(user: str, given: list[dict[str, Any]]) -> bool:
    """Whether the last one of a sample's answers is shown."""
    return any(row["answer"] == 2 and row["accepted"] and f"\n{row['response']}\n</answer" in user for row in given)


def test_a_threshold_drops_by_name_what_the_judge_finds_bad_and_the_card_says_so(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
):
    assert project.make(instruction_dataset)
    before = project.store.current("instruction_dataset").read_facts(DatasetFacts)
    judge_at(openai_server, monkeypatch, lambda user: "off topic" if len(user) % 4 == 0 else "good")
    assert project.make(pair_scores, week=WEEK, pair_scores=JUDGED)
    assert project.make(instruction_dataset, instruction_dataset={"min_score": 0.5})
    dataset = project.store.current("instruction_dataset")
    facts = dataset.read_facts(DatasetFacts)
    bad = sum(row["score"] is not None and row["score"] < 0.5 for row in scores(project))
    assert facts.dropped["off_topic"] + facts.dropped.get("constraint_ignored", 0) == bad
    assert sum(facts.examples.values()) < sum(before.examples.values())
    card = (dataset.folder / "files" / "README.md").read_text()
    assert "pairs below 0.5 were left out" in card
    assert r"off\_topic" in card


def test_a_judge_that_failed_its_preflight_drops_nothing(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("assets.dataset.pair_scores.judge_faults", lambda *_: ["judge: at chance"])
    assert project.make(pair_scores, week=WEEK, pair_scores=JUDGED)
    assert not project.make(instruction_dataset, instruction_dataset={"min_score": 0.5})
    assert "failed its preflight, so that it may not drop a pair: judge: at chance" in why(project)
