"""A preview: a few samples to look at before anything is bought, which the generation then reuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from resources.language_models.offline.model import OfflineModel
from teams_dagster.cli import main
from teams_dagster.core.protocol import Completion, Purpose, Request
from teams_dagster.definitions import definitions
from teams_dagster.ledger.costs import costs_by
from teams_dagster.settings import load_settings
from tests.support.project import Project

WEEK = "2026-11-02"


@pytest.fixture
def untrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project in which nothing was made."""
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return Project(tmp_path / "data")


def preview(*options: str) -> Result:
    return CliRunner().invoke(main, ["preview", "--partition", WEEK, *options])


def asked(project: Project) -> dict[str | None, tuple[int, int]]:
    """By asset, the queries asked and those sent."""
    with project.ledger.open() as ledger:
        return {cost.group["asset_key"]: (cost.asked, cost.calls) for cost in costs_by(ledger, ["asset_key"])}


def test_it_shows_five_seeds_with_steps_verdicts_answers_and_price_in_eighty_columns(untrained: Project) -> None:
    result = preview()
    assert result.exit_code == 0, result.output
    shown = result.stdout
    assert shown.count("\nseed ") == 5
    for part in ("step 0  ", "verdict not_equal: accepted", "{+", "answer: ", "price: $0.00"):
        assert part in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown


def test_it_asks_seventy_five_queries_at_most_even_where_everything_is_accepted(
    untrained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = OfflineModel.complete

    async def complete(self: OfflineModel, request: Request) -> Completion:
        completion = await answer(self, request)
        return replace(completion, text="Not Equal") if request.intent.purpose is Purpose.REVIEW else completion

    monkeypatch.setattr(OfflineModel, "complete", complete)
    result = preview("--policy", "round_robin")
    assert result.exit_code == 0, result.output
    assert 70 <= asked(untrained)["preview"][0] <= 75


@pytest.mark.slow
def test_a_policy_trained_on_verdicts_in_both_orders_has_room_for_them(
    untrained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {"both_orders": True, "allow_none": False}
    assert untrained.make(seed_instructions, trained_policy, trained_policy=both)
    answer = OfflineModel.complete

    async def complete(self: OfflineModel, request: Request) -> Completion:
        completion = await answer(self, request)
        return replace(completion, text="Not Equal") if request.intent.purpose is Purpose.REVIEW else completion

    monkeypatch.setattr(OfflineModel, "complete", complete)
    result = preview("--seeds", "2")
    assert result.exit_code == 0, result.output
    assert "of at most 42" in result.stdout.replace("\n", " ")
    assert 30 <= asked(untrained)["preview"][0] <= 42


@pytest.mark.slow
@pytest.mark.parametrize("config", [{"seeds": 12}, {"seeds": 12, "target_samples": 10, "episodes_per_seed": 1}])
def test_the_generation_pays_nothing_of_it_again(
    untrained: Project, config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steered = {"policy": "uniform", **config}
    (tmp_path / "monday.yaml").write_text(f"ops: {{generated_instructions: {{config: {steered}}}}}", encoding="utf-8")
    assert preview("--config", str(tmp_path / "monday.yaml")).exit_code == 0
    previewed = untrained.calls
    calls = generated_calls(untrained, steered)
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "alone"))
    assert calls == generated_calls(Project(tmp_path / "alone"), steered) > previewed > 0


def generated_calls(project: Project, config: dict[str, Any]) -> int:
    assert project.make(seed_instructions)
    assert project.make(generated_instructions, expert_responses, week=WEEK, generated_instructions=config)
    return project.calls


def test_a_second_look_sends_nothing_and_shows_the_same(untrained: Project) -> None:
    first = preview("--seeds", "2")
    sent = untrained.calls
    again = preview("--seeds", "2")
    assert untrained.calls == sent
    assert again.stdout.splitlines()[:-2] == first.stdout.splitlines()[:-2]


def test_without_a_trained_policy_it_says_so(untrained: Project) -> None:
    assert "uniform: this policy was never trained" in preview("--seeds", "1").stdout.replace("\n", " ")


def test_the_policy_that_was_trained_is_taken_where_there_is_one_and_another_where_it_is_named(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    assert f"policy {project.version('trained_policy')}" in preview("--seeds", "1").stdout.replace("\n", " ")
    assert "round_robin: this policy was never trained" in preview("--policy", "round_robin").stdout.replace("\n", " ")


def test_the_ui_has_it_as_a_job_whose_output_shows_the_same(untrained: Project, tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        config = {"ops": {"play_preview": {"config": {"looked_at": 1, "partition": WEEK}}}}
        result = (
            definitions(load_settings())
            .resolve_job_def("preview")
            .execute_in_process(instance=instance, run_config=config)
        )
        (event,) = [e for e in result.all_events if e.event_type_value == "STEP_OUTPUT"]
    metadata = event.step_output_data.metadata
    assert "    seed 1 of 1" in str(metadata["preview"].value)
    assert metadata["queries"].value == asked(untrained)["preview"][0]


def configured(folder: Path, text: str) -> str:
    path = folder / "monday.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_schedule_of_the_run_is_that_of_the_preview_and_what_it_may_ask_is_said_first(
    untrained: Project, tmp_path: Path
) -> None:
    run = configured(tmp_path, "ops: {generated_instructions: {config: {policy: uniform, forced_schedule: true}}}")
    result = preview("--seeds", "1", "--config", run)
    assert result.exit_code == 0, result.output
    heading = result.stdout.split("\n\n")[0].replace("\n", " ")
    assert (
        "1 of its seeds, at most 15 queries, operations chosen by uniform under the paper's forced schedule" in heading
    )
    assert "step 1  breadth" in result.stdout
    assert "1 seeds of generation" in result.stderr


def test_the_latest_policy_where_none_was_trained_is_asked_for_by_name(untrained: Project) -> None:
    result = preview("--policy", "latest")
    assert result.exit_code == 1
    assert "no policy was trained in" in result.stderr
    assert "uniform, round_robin" in result.stderr
    made = CliRunner().invoke(main, ["dataset", "--partition", WEEK, "--policy", "latest"])
    assert made.exit_code == 1
    assert "no policy was trained in" in made.stderr


@pytest.mark.slow
def test_a_budget_of_the_run_or_of_the_project_that_ends_it_is_named(
    untrained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = configured(tmp_path, "resources: {models: {config: {budget: {queries: 0}}}}")
    result = preview("--seeds", "1", "--config", run)
    assert result.exit_code == 1
    assert "the budget of the run" in result.stderr
    made = CliRunner().invoke(main, ["dataset", "--partition", WEEK, "--config", run])
    assert made.exit_code == 1
    assert "the budget of the run" in made.stderr
    monkeypatch.setenv("TEAMS_BUDGET_QUERIES", "12")
    ended = preview("--seeds", "1", "--policy", "uniform")
    assert ended.exit_code == 0, ended.output
    assert "Not everything was answered: the budget of the project is used up: 12 of 12" in " ".join(
        ended.stdout.split()
    )
