"""A generation with a target: exactly so many rows of the dataset, or fewer, why, and what they would take."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from assets.accounting.sample_lineage import sample_lineage
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.seeds import seed_instructions
from teams_dagster.automation.run_estimate import estimate_run
from teams_dagster.dataset.stored import examples_in
from teams_dagster.ledger.costs import costs_by
from teams_dagster.ledger.schema import uses
from teams_dagster.settings import load_settings
from teams_dagster.store.facts.accounting import LineageFacts
from teams_dagster.store.facts.dataset import DatasetFacts, GenerationFacts
from teams_dagster.store.parquet import read_rows
from tests.support.project import Project
from tests.support.seed_files import passages_with_input, questions_without_input

WEEK, NEXT_WEEK = "2026-11-02", "2026-11-09"


def play(project: Project, target: int | None, week: str = WEEK, **config: Any) -> bool:
    steered: dict[str, Any] = {"policy": "uniform", "seeds": 240, **config}
    if target is not None:
        steered["target_samples"] = target
    return project.make(generated_instructions, expert_responses, week=week, generated_instructions=steered)


def rows(project: Project) -> int:
    assert project.make(instruction_dataset)
    return sum(1 for _ in examples_in(project.store.current("instruction_dataset")))


def facts(project: Project, week: str = WEEK) -> GenerationFacts:
    return project.store.current("generated_instructions", week).read_facts(GenerationFacts)


@pytest.mark.slow
@pytest.mark.parametrize("write", [questions_without_input, passages_with_input, None])
def test_exactly_forty_rows_from_any_file_of_seeds_all_of_them_replayed(
    write: Callable[[Path], Path] | None, untrained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = untrained
    if write is not None:
        file = write(tmp_path / f"own{'.csv' if write is passages_with_input else '.jsonl'}")
        monkeypatch.setenv("TEAMS_SEEDS", str(file))
        assert project.make(seed_instructions)
    assert play(project, 40)
    assert rows(project) == 40
    assert facts(project).target_kept == 40
    assert facts(project).target_missed is None
    assert project.make(sample_lineage)
    lineage = project.store.current("sample_lineage").read_facts(LineageFacts)
    assert lineage.rows_verified == facts(project).transitions + facts(project).accepted
    assert lineage.not_verified == {}


@pytest.mark.slow
def test_made_again_it_asks_nothing_and_is_the_same(untrained: Project) -> None:
    assert play(untrained, 8)
    asked, version = untrained.calls, untrained.version("generated_instructions", WEEK)
    assert play(untrained, 8, force=True)
    assert (untrained.calls, untrained.version("generated_instructions", WEEK)) == (asked, version)
    assert play(untrained, None)
    assert untrained.version("generated_instructions", WEEK) == version, "its manifest rules where none is given"


@pytest.mark.slow
def test_a_larger_target_goes_on_from_what_is_paid_as_if_it_had_been_the_first_at_any_concurrency(
    untrained: Project, seeded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert play(untrained, 30)
    assert rows(untrained) == 30
    first = untrained.calls
    assert play(untrained, 60)
    assert rows(untrained) == 60
    calls = untrained.calls
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "at_once"))
    monkeypatch.setenv("TEAMS_MAX_IN_FLIGHT", "1")
    at_once = Project(Path(shutil.copytree(seeded, tmp_path / "at_once")))
    assert play(at_once, 60)
    assert calls == at_once.calls > first
    for asset in ("generated_instructions", "expert_responses"):
        assert untrained.version(asset, WEEK) == at_once.version(asset, WEEK)


@pytest.mark.slow
def test_a_smaller_target_asks_nothing_and_leaves_the_others_out_by_name(untrained: Project) -> None:
    assert play(untrained, 24)
    asked = untrained.calls
    assert play(untrained, 9)
    assert rows(untrained) == 9
    assert untrained.calls == asked
    dropped = untrained.store.current("instruction_dataset").read_facts(DatasetFacts).dropped
    assert dropped["beyond_target"] == (facts(untrained).curated or 0) - 9 >= 15


@pytest.mark.slow
def test_another_week_brings_its_own_number_beside_the_first(untrained: Project) -> None:
    assert play(untrained, 10)
    assert play(untrained, 12, NEXT_WEEK)
    assert rows(untrained) == 22


def test_the_ceiling_ends_it_with_the_setting_that_raises_it(untrained: Project) -> None:
    assert play(untrained, 500, seeds=24, episodes_per_seed=1)
    found = facts(untrained)
    assert found.asking["episodes"] == 24
    assert found.target_kept is not None
    assert 0 < found.target_kept < 500
    assert found.target_missed is not None
    assert "raise `episodes_per_seed`" in found.target_missed
    assert "more queries" in found.target_missed
    asked = untrained.calls
    assert play(untrained, None)
    assert untrained.calls == asked, "it is made, and reused"


@pytest.mark.slow
def test_a_budget_ends_in_a_dataset_whose_rows_and_bill_agree_with_the_ledger(
    untrained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_BUDGET_QUERIES", "300")
    assert play(untrained, 1_000)
    found = facts(untrained)
    assert found.target_missed is not None
    assert "the budget of the project is used up: 300 of 300 queries" in found.target_missed
    assert untrained.calls == 300
    assert rows(untrained) == found.target_kept
    assert 42 < rows(untrained) < 84
    with untrained.ledger.open() as ledger:
        by_asset = {cost.group["asset_key"]: cost.calls for cost in costs_by(ledger, ["asset_key"])}
        with ledger.engine.connect() as connection:
            purpose, transition = uses.c.purpose, uses.c.transition_id
            answered = set(connection.execute(sa.select(transition).where(purpose == "respond")).scalars())
    assert by_asset == {"generated_instructions": 300, "expert_responses": 0}
    rows_on_record = read_rows(untrained.store.current("generated_instructions", WEEK).path("transitions.parquet"))
    accepted = {row["transition_id"] for row in rows_on_record if row["accepted"]}
    assert (len(accepted), found.unanswered) == (found.accepted, 0)
    assert accepted <= answered, "every instruction on record has its answer"
    monkeypatch.delenv("TEAMS_BUDGET_QUERIES")
    assert play(untrained, 90)
    assert rows(untrained) == 90, "with more budget it goes on"


def test_a_budget_that_pays_next_to_nothing_is_refused_before_the_first_query(
    untrained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_BUDGET_QUERIES", "40")
    assert not play(untrained, 60)
    assert untrained.calls == 0


def test_what_it_asks_lies_in_the_estimate_and_then_nothing_is_left(untrained: Project) -> None:
    config: dict[str, dict[str, Any]] = {"generated_instructions": {"policy": "uniform", "target_samples": 40}}
    wanted = ("seed_instructions", "generated_instructions", "expert_responses")

    def steps() -> dict[str, Any]:
        return {key: found.queries for key, found, _ in estimate_run(load_settings(), WEEK, config, wanted).steps}

    before = steps()
    assert play(untrained, 40)
    with untrained.ledger.open() as ledger:
        asked = {cost.group["asset_key"]: cost.asked for cost in costs_by(ledger, ["asset_key"])}
    assert before["generated_instructions"].least <= asked["generated_instructions"]
    assert asked["generated_instructions"] <= 1.3 * before["generated_instructions"].likely
    assert before["expert_responses"].most == 0
    assert all(found.most == 0 for found in steps().values())
