"""A generation with a target and a threshold of scores: so many rows are left once the threshold has acted."""

from __future__ import annotations

from typing import Any

import pytest

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.dataset.pair_scores import pair_scores
from teams_dagster.automation.run_estimate import estimate_run
from teams_dagster.dataset.stored import examples_in
from teams_dagster.ledger.costs import costs_by
from teams_dagster.settings import load_settings
from teams_dagster.store.facts.dataset import DatasetFacts, GenerationFacts
from tests.support.failures import why
from tests.support.openai_server import OpenAIServer
from tests.support.project import Project
from tests.support.scripted_roles import judge_at

WEEK = "2026-11-02"
JUDGED: dict[str, dict[str, Any]] = {"pair_scores": {"scored_by": "judge"}, "instruction_dataset": {"min_score": 0.5}}


@pytest.fixture
def project(untrained: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with seeds and no policy, whose judge finds a third of the pairs off topic."""
    judge_at(openai_server, monkeypatch, lambda user: "off topic" if len(user) % 3 == 0 else "good")
    return untrained


def play(project: Project, target: int | None, **config: dict[str, Any]) -> bool:
    """A whole run of the job `dataset`, but for its accounting."""
    steered: dict[str, Any] = {"policy": "uniform", "seeds": 240}
    if target is not None:
        steered["target_samples"] = target
    line = (generated_instructions, expert_responses, pair_scores, instruction_dataset)
    return project.make(*line, week=WEEK, **{"generated_instructions": steered, **JUDGED, **config})


def rows(project: Project) -> int:
    return sum(1 for _ in examples_in(project.store.current("instruction_dataset")))


def facts(project: Project) -> GenerationFacts:
    return project.store.current("generated_instructions", WEEK).read_facts(GenerationFacts)


def sent(project: Project) -> dict[str | None, int]:
    """By asset, the calls."""
    with project.ledger.open() as ledger:
        return {cost.group["asset_key"]: cost.calls for cost in costs_by(ledger, ["asset_key"])}


@pytest.mark.slow
def test_exactly_thirty_pass_the_threshold_and_a_larger_target_goes_on_from_there(
    project: Project, openai_server: OpenAIServer
) -> None:
    wanted = ("seed_instructions", "generated_instructions", "expert_responses", "pair_scores")
    config = {"generated_instructions": {"policy": "uniform", "target_samples": 30}, **JUDGED}
    expected = estimate_run(load_settings(), WEEK, config, wanted).total.queries
    assert play(project, 30)
    assert rows(project) == facts(project).target_kept == 30
    dropped = project.store.current("instruction_dataset").read_facts(DatasetFacts).dropped
    assert dropped["off_topic"] > 5
    first = sent(project)
    assert first["expert_responses"] == first["pair_scores"] == 0, "their answers are on the ledger"
    received = openai_server.count
    assert play(project, 30)
    assert (sent(project), openai_server.count) == (first, received)
    assert play(project, 60)
    assert rows(project) == 60
    more = sent(project)
    assert more["expert_responses"] == more["pair_scores"] == 0
    assert (more["generated_instructions"] or 0) > (first["generated_instructions"] or 0)
    assert openai_server.count - received < received, "the first pairs are not rated again"
    assert expected.least <= sum(first.values()) <= 1.3 * expected.likely


@pytest.mark.slow
def test_several_answers_and_programs_that_score_count_as_well(project: Project) -> None:
    config: dict[str, dict[str, Any]] = {
        "expert_responses": {"answers": 2},
        "pair_scores": {"scored_by": "programs"},
        "instruction_dataset": {"min_score": 0.5},
    }
    assert play(project, 20, **config)
    assert rows(project) == 20
    assert sent(project)["expert_responses"] == 0


def test_a_threshold_that_nobody_scores_for_is_refused_before_the_first_query(project: Project) -> None:
    assert not play(project, 20, pair_scores={"scored_by": "nobody"})
    assert "min_score is 0.5, and nobody scores the pairs" in why(project)
    assert sent(project) == {}


def test_a_judge_that_failed_its_preflight_counts_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.dataset.generated_instructions.judge_faults", lambda *_: ["judge: at chance"])
    assert not play(project, 20)
    assert "failed its preflight, so that it may not drop a pair: judge: at chance" in why(project)
    assert sent(project) == {}


@pytest.mark.slow
def test_another_judge_does_not_go_on_with_a_generation_that_was_begun_with_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert play(project, 10)
    monkeypatch.setenv("TEAMS_JUDGE_MODEL", "another")
    before = sent(project)
    again = {"policy": "uniform", "seeds": 240, "force": True}
    assert not project.make(generated_instructions, week=WEEK, generated_instructions=again)
    assert "was counted with another judge: openai/" in why(project)
    assert "TEAMS_JUDGE_MODEL" in why(project)
    assert sent(project) == before


@pytest.mark.slow
def test_a_budget_that_ends_it_counts_what_passed_and_says_what_the_rest_would_take(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_BUDGET_QUERIES", "500")
    assert play(project, 1_000)
    found = facts(project)
    assert rows(project) == found.target_kept
    assert found.target_missed is not None
    assert "the budget of the project is used up: 500 of 500 queries" in found.target_missed
    assert "more queries" in found.target_missed
    assert sum(sent(project).values()) == 500
