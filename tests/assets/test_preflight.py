"""Before anything is trained or bought: the roles that language models serve are tried, or it does not begin."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.pair_scores import pair_scores
from assets.policy.trained_policy import trained_policy
from teams_dagster.automation.run_estimate import estimate_run
from teams_dagster.cli import main
from teams_dagster.ledger.costs import costs_by
from teams_dagster.pricing.paid_assets import PAID
from teams_dagster.settings import load_settings
from tests.support.failures import why
from tests.support.openai_server import Body, OpenAIServer, Reply
from tests.support.project import Project
from tests.support.scripted_roles import answering, coin, perfect_judge, perfect_reviewer

WEEK = "2026-11-02"


@pytest.fixture
def project(untrained: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose reviewer is a model at the server, nothing being tried or trained yet."""
    settings = {
        "REVIEWER_MODEL": "m",
        "REVIEWER_BASE_URL": openai_server.base_url,
        "REVIEWER_STRUCTURED": "off",
        "INSTRUCTOR_PROVIDER": "offline",
        "PREFLIGHT": "required",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"TEAMS_{name}", value)
    return untrained


def asked_by_asset(project: Project) -> dict[str | None, int]:
    with project.ledger.open() as ledger:
        return {cost.group["asset_key"]: cost.asked for cost in costs_by(ledger, ["asset_key"])}


def test_a_reviewer_at_chance_stops_the_training_before_its_first_query(project: Project, openai_server: OpenAIServer):
    openai_server.respond = answering(review=coin)
    assert not project.make(trained_policy)
    assert "lower bound is below 0.700: nothing is trained on its verdicts" in why(project)
    assert "TEAMS_PREFLIGHT=warn" in why(project)
    asked = asked_by_asset(project)
    assert asked["preflight"] == 184
    assert "trained_policy" not in asked
    assert not project.store.exists("trained_policy")


def test_a_reviewer_that_nobody_can_read_stops_it_after_a_few_verdicts(project: Project, openai_server: OpenAIServer):
    openai_server.respond = answering(review=lambda _: "The two equal are indeed.")
    assert not project.make(trained_policy)
    assert "none of the first 9 verdicts of reviewer can be used" in why(project)
    sent = openai_server.count
    assert sent < 30
    assert not project.make(trained_policy)
    assert openai_server.count == sent, "what was found out is on record"


@pytest.mark.slow
def test_a_reviewer_that_passes_is_tried_once_and_trained_on(project: Project, openai_server: OpenAIServer):
    openai_server.respond = answering(review=perfect_reviewer())
    assert project.make(trained_policy)
    assert asked_by_asset(project)["preflight"] == 184
    assert project.store.current("trained_policy").facts.get("preflight", []) == []
    assert project.make(trained_policy, trained_policy={"force": True})
    assert asked_by_asset(project)["preflight"] == 184


def test_a_setting_trains_all_the_same_and_the_output_says_so(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TEAMS_PREFLIGHT", "warn")
    openai_server.respond = answering(review=coin)
    assert project.make(trained_policy)
    (sentence, *_) = project.store.current("trained_policy").facts["preflight"]
    assert "balanced accuracy" in sentence
    assert "TEAMS_PREFLIGHT=warn" in sentence


def test_switched_off_nothing_is_tried_and_the_output_says_so(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TEAMS_PREFLIGHT", "off")
    openai_server.respond = answering(review=coin)
    assert project.make(trained_policy)
    assert project.store.current("trained_policy").facts["preflight"] == [
        "reviewer was not tried before it was asked: TEAMS_PREFLIGHT=off"
    ]
    assert "preflight" not in asked_by_asset(project)


def test_the_embedded_rules_pass_without_a_query(project: Project, monkeypatch: pytest.MonkeyPatch):
    for name in ("MODEL", "BASE_URL"):
        monkeypatch.delenv(f"TEAMS_REVIEWER_{name}")
    monkeypatch.setenv("TEAMS_REVIEWER_PROVIDER", "offline")
    assert project.make(trained_policy)
    assert asked_by_asset(project).keys() == {"trained_policy"}


def test_the_command_prints_a_line_a_role_and_the_second_time_sends_nothing(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    openai_server.respond = answering(review=coin)
    first = CliRunner().invoke(main, ["preflight", "--quick"])
    assert first.exit_code == 1, first.output
    (line,) = [line for line in first.stdout.splitlines() if line.startswith("reviewer openai/m: failed, 36 queries")]
    assert "position bias" in line
    assert "estimate: 36 queries" in first.stderr
    sent = openai_server.count
    second = CliRunner().invoke(main, ["preflight", "--quick"])
    assert (second.exit_code, openai_server.count) == (1, sent)
    assert line in second.stdout


def test_the_command_says_why_nothing_could_be_tried(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("TEAMS_REVIEWER_BASE_URL", "https://models.example.invalid/v1")
    monkeypatch.setenv("TEAMS_REVIEWER_API_KEY", "sk-planted")
    ran = CliRunner().invoke(main, ["preflight"])
    assert ran.exit_code == 1
    assert "Set TEAMS_BUDGET_USD" in ran.stderr.splitlines()[-1]


def test_a_generation_buys_nothing_from_an_expert_that_writes_nothing(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TEAMS_REVIEWER_PROVIDER", "offline")
    monkeypatch.delenv("TEAMS_REVIEWER_BASE_URL")
    monkeypatch.setenv("TEAMS_REVIEWER_MODEL", "rules")
    monkeypatch.setenv("TEAMS_EXPERT_MODEL", "m")
    monkeypatch.setenv("TEAMS_EXPERT_BASE_URL", openai_server.base_url)
    assert project.make(trained_policy)
    openai_server.respond = lambda _: " "
    assert not project.make(generated_instructions, week=WEEK, generated_instructions={"foreign_policy": True})
    assert "none of the first 20 rewrites of expert can be used" in why(project)
    assert "generated_instructions" not in asked_by_asset(project)
    monkeypatch.setenv("TEAMS_EXPERT_PROVIDER", "offline")
    monkeypatch.delenv("TEAMS_EXPERT_BASE_URL")
    assert project.make(generated_instructions, week=WEEK), "it had not begun: another model may take its place"


@pytest.mark.slow
def test_a_judge_that_compares_well_and_rates_badly_may_compare_and_not_score(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("TEAMS_EXPERT_PROVIDER", "offline")
    for name, value in {"MODEL": "m", "BASE_URL": openai_server.base_url, "STRUCTURED": "off"}.items():
        monkeypatch.setenv(f"TEAMS_JUDGE_{name}", value)
    openai_server.respond = answering(review=perfect_reviewer(), judge=perfect_judge(), rate=lambda _: "good")
    compared = CliRunner().invoke(main, ["preflight"])
    assert compared.exit_code == 0, compared.output
    scoring = tmp_path / "monday.yaml"
    scoring.write_text("ops: {pair_scores: {config: {scored_by: judge}}}", encoding="utf-8")
    before = openai_server.count
    rated = CliRunner().invoke(main, ["preflight", "--config", str(scoring)])
    assert rated.exit_code == 1, rated.output
    assert "it may not drop a pair. Set TEAMS_JUDGE_MODEL" in rated.stdout
    assert openai_server.count == before + 120, "what it compared is on the ledger"
    line = (generated_instructions, expert_responses, pair_scores)
    config = {"generated_instructions": {"policy": "uniform", "seeds": 3}, "pair_scores": {"scored_by": "judge"}}
    assert not project.make(*line, week=WEEK, **config)
    assert "it may not drop a pair" in why(project)
    assert "pair_scores" not in asked_by_asset(project)


@pytest.mark.slow
def test_after_a_preflight_the_whole_runs_most_is_at_most_three_times_its_least(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    for role in ("EXPERT", "INSTRUCTOR", "JUDGE"):
        monkeypatch.delenv(f"TEAMS_{role}_PROVIDER", raising=False)
        monkeypatch.setenv(f"TEAMS_{role}_MODEL", "m")
        monkeypatch.setenv(f"TEAMS_{role}_BASE_URL", openai_server.base_url)
        monkeypatch.setenv(f"TEAMS_{role}_STRUCTURED", "off")
    answer = answering(review=perfect_reviewer(), judge=perfect_judge())

    def counted(body: Body) -> Reply:
        text = answer(body)
        words = sum(len(message["content"].split()) for message in body["messages"])
        return Reply(text, prompt_tokens=words, completion_tokens=len(text.split()))

    openai_server.respond = counted
    untried = estimate_run(load_settings(), WEEK, {}, PAID)
    assert untried.preflight is not None
    before = untried.total.tokens
    assert before.most > 10 * before.least
    ran = CliRunner().invoke(main, ["preflight"])
    assert ran.exit_code == 0, ran.output
    assert openai_server.count < 600
    tried = estimate_run(load_settings(), WEEK, {}, PAID)
    assert tried.preflight is None
    assert tried.total.tokens.most <= 3 * tried.total.tokens.least


def test_a_provider_is_not_even_tried_without_a_budget(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEAMS_REVIEWER_BASE_URL", "https://models.example.invalid/v1")
    monkeypatch.setenv("TEAMS_REVIEWER_API_KEY", "sk-planted")
    assert not project.make(trained_policy)
    assert "TEAMS_BUDGET_USD" in why(project)
    assert asked_by_asset(project) == {}


def test_a_budget_that_pays_the_trial_of_the_roles_and_no_dataset_is_refused_before_that_trial(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
):
    openai_server.respond = answering(review=perfect_reviewer())
    monkeypatch.setenv("TEAMS_EXPERT_PROVIDER", "offline")
    monkeypatch.setenv("TEAMS_BUDGET_QUERIES", "200")
    wanted = {"policy": "uniform", "target_samples": 60}
    assert not project.make(generated_instructions, week=WEEK, generated_instructions=wanted)
    assert openai_server.count == 0, "the trial alone takes 184"
    assert "200 of 200 are left for it" in why(project)


def test_a_budget_that_pays_no_training_is_refused_before_the_roles_are_tried(
    project: Project, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
):
    openai_server.respond = answering(review=perfect_reviewer())
    monkeypatch.setenv("TEAMS_BUDGET_QUERIES", "200")
    assert not project.make(trained_policy)
    assert openai_server.count == 0, "the trial alone takes 184"
    assert "100 of 100 are left for it, 50% of TEAMS_BUDGET_QUERIES" in why(project)
