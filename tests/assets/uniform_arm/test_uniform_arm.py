"""The uniform arm beside a generation of the trained policy: the same start, as many questions, nothing mixed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from assets.accounting.query_costs import query_costs
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.models.config import AdapterSettings
from assets.uniform_arm.assets import settings_of, stopped_at, uniform_dataset, uniform_instructions, uniform_responses
from assets.uniform_arm.checks import arms_are_apart, arms_ask_the_same
from resources.language_models.offline.model import OfflineModel
from teams_dagster.automation.run_estimate import estimate_run
from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind, Request
from teams_dagster.dataset.card import CARD, DataCard, render_card
from teams_dagster.dataset.manifests import generated_for, read_manifest
from teams_dagster.dataset.playing import generation_seeds
from teams_dagster.dataset.uniform import generation_beside, seeds_line, seeds_played, trained_on, uniform_plans
from teams_dagster.lineage.explorer.content import choose
from teams_dagster.lineage.trace import trace
from teams_dagster.pricing.paid_assets import UNIFORM_PAID
from teams_dagster.report.content import DatasetResults
from teams_dagster.report.costs import read_costs
from teams_dagster.report.dataset_results import MadeGeneration, dataset_results
from teams_dagster.settings import load_settings
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.models import AdapterFacts
from tests.support.checks import checked
from tests.support.project import Project

WEEK, UNBEGUN = "2026-01-05", "2026-01-12"


@dataclass(frozen=True)
class Arms:
    """A project with both arms, and what it told before the uniform one was made."""

    project: Project
    main_version: str
    main_report: DatasetResults
    main_samples: int
    estimated: dict[str, tuple[int, int]]

    def artefact(self, asset_key: str, week: str | None = None) -> Artefact:
        return self.project.store.current(asset_key, week)

    def rows(self, asset_key: str, table: str, week: str | None = WEEK) -> list[dict[str, Any]]:
        return pq.read_table(self.artefact(asset_key, week).path(f"{table}.parquet")).to_pylist()


def shown(project: Project) -> DatasetResults:
    assert project.make(query_costs)
    costs = read_costs(project.store.current("query_costs"))
    return dataset_results(project.store, [MadeGeneration(project.store, WEEK)], costs)


def samples_on_a_page(project: Project) -> int:
    with duckdb.connect(project.ledger.read_model) as connection:
        count = choose(connection, None)
        assert connection.execute("select count(*) from chosen").fetchone() == (count,)
        return count


@pytest.fixture(scope="module")
def arms(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arms]:
    data = Path(shutil.copytree(trained, tmp_path_factory.mktemp("arms"), dirs_exist_ok=True))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TEAMS_DATA_DIR", str(data))
        project = Project(data)
        assert project.make(generated_instructions, expert_responses, week=WEEK, generated_instructions={"seeds": 60})
        assert project.make(instruction_dataset)
        before = shown(project), samples_on_a_page(project)
        found = estimate_run(load_settings(), WEEK, {}, UNIFORM_PAID)
        estimated = {key: (each.queries.least, each.queries.most) for key, each, _ in found.steps}
        version = project.version("instruction_dataset")
        assert project.make(uniform_instructions, uniform_responses, week=WEEK)
        assert project.make(uniform_dataset)
        yield Arms(project, version, *before, estimated)


@pytest.fixture(autouse=True)
def _the_arms_ledger(arms: Arms, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's, whatever was left in the folder of the checkout."""
    monkeypatch.setenv("TEAMS_DATA_DIR", str(arms.project.store.root))


@pytest.mark.slow
def test_uniform_begins_as_the_trained_policy_did(arms: Arms):
    trained, uniform = (read_manifest(arms.artefact(f"{kind}_instructions", WEEK)) for kind in ("generated", "uniform"))
    assert trained.policy_version != uniform.policy_version
    same = ("replicas", "seeds_version", "root_seed", "models", "prompt_versions", "fresh", "partition_key")
    assert all(getattr(trained, name) == getattr(uniform, name) for name in same)


@pytest.mark.slow
def test_both_arms_asked_as_many_questions(arms: Arms):
    trained, uniform = (arms.artefact(f"{kind}_instructions", WEEK).facts for kind in ("generated", "uniform"))
    assert 0 <= trained["questions"] - uniform["questions"] <= 1
    counted = sum(row["queries"] for row in arms.rows("uniform_instructions", "transitions"))
    assert counted == uniform["questions"]
    assert checked(arms_ask_the_same, arms.project.store).passed


@pytest.mark.parametrize(
    ("asset_key", "week", "config", "said"),
    [
        ("expert_responses", WEEK, {"answers": 3}, "were given 3 answers each, uniform's 1"),
        ("expert_responses", WEEK, {"max_reasoning_words": 200}, "up to 200 of the trained policy's answers"),
        ("instruction_dataset", None, {"min_score": 0.5}, "below a score of 0.5 are left out of instruction_dataset"),
    ],
)
def test_answers_or_rows_that_were_not_made_alike_are_told(
    arms: Arms, tmp_path: Path, asset_key: str, week: str | None, config: dict[str, Any], said: str
):
    store = ArtefactStore(data_dir=str(shutil.copytree(arms.project.store.root, tmp_path / "other")))
    path = store.current(asset_key, week).folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(manifest | {"config": config}), encoding="utf-8")
    check = checked(arms_ask_the_same, store)
    assert not check.passed
    assert said in (check.description or "")


def test_its_seeds_are_a_fair_part_of_those_of_the_week(arms: Arms):
    """Not the first by their ids: the order is drawn, and what the queries pay for is its beginning."""
    rows = arms.rows("uniform_instructions", "transitions")
    played = list(dict.fromkeys(row["seed_id"] for row in rows))
    assert played != sorted(played)
    assert set(played) <= seeds_played(arms.artefact("generated_instructions", WEEK))


def test_the_arm_says_how_many_seeds_it_played_and_how_many_of_them_trained_the_policy(arms: Arms):
    uniform, trained = (arms.artefact(f"{kind}_instructions", WEEK) for kind in ("uniform", "generated"))
    played, known = seeds_played(uniform), trained_on(arms.project.store, read_manifest(trained))
    said = f"uniform played {len(played)} seeds, {len(played & known)} of which trained the policy"
    assert said in seeds_line(arms.project.store, uniform, trained)
    assert 0 < len(played & known) < len(played)
    assert said in str(checked(arms_ask_the_same, arms.project.store).metadata["seeds"].value)


def test_a_generation_of_an_earlier_version_keeps_its_order_and_asks_nothing(arms: Arms, tmp_path: Path):
    beside = generation_beside(arms.project.store, WEEK)
    assert beside.by_lot
    store = ArtefactStore(data_dir=str(shutil.copytree(arms.project.store.root, tmp_path / "earlier")))
    manifest_path = store.current("uniform_instructions", WEEK).folder / "manifest.json"
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    manifest["inputs"] = replace(beside, by_lot=False).inputs
    manifest_path.write_text(json.dumps(manifest), encoding="utf-8")
    assert generation_beside(store, WEEK) == replace(beside, by_lot=False)
    plans = uniform_plans(replace(beside, by_lot=False), generation_seeds(store, beside.trained))
    assert [next(plans).key.seed_id for _ in range(3)] == [seed_id for seed_id, _ in beside.trained.replicas[:3]]


def test_every_operation_is_as_likely_and_the_rows_name_the_arm(arms: Arms):
    rows = arms.rows("uniform_instructions", "transitions")
    assert {row["policy"] for row in rows} == {"uniform"}
    assert {row["probability"] for row in rows} == {1 / 6}
    assert "none" not in {row["operation"] for row in rows}


def test_rewards_are_by_the_trained_policys_pool_and_preset(arms: Arms):
    columns = ("pool_version", "reward_preset")
    trained, uniform = (
        {tuple(row[c] for c in columns) for row in arms.rows(f"{kind}_instructions", "transitions")}
        for kind in ("generated", "uniform")
    )
    assert trained == uniform


def test_answers_belong_to_the_arms_own_instructions(arms: Arms):
    responses = arms.artefact("uniform_responses", WEEK)
    assert generated_for(arms.project.store, responses) == arms.artefact("uniform_instructions", WEEK)
    made = {row["transition_id"] for row in arms.rows("uniform_instructions", "transitions") if row["accepted"]}
    assert {row["transition_id"] for row in arms.rows("uniform_responses", "samples")} == made


def test_no_sample_is_in_both_datasets_and_a_seed_is_on_the_same_side(arms: Arms):
    assert checked(arms_are_apart, arms.project.store).passed


def test_the_arms_dataset_has_a_card_that_says_so(arms: Arms):
    cards = [
        DataCard.from_json(arms.artefact(key).path(CARD).read_text(encoding="utf-8"))
        for key in ("uniform_dataset", "instruction_dataset")
    ]
    uniform, trained = (render_card(card, ()) for card in cards)
    assert "uniform arm" in uniform
    assert "a uniform draw decided" in uniform
    assert "a learned policy chose" in trained
    assert "uniform" not in trained


def test_the_main_line_is_the_same_with_the_arm_on_storage(arms: Arms):
    project = arms.project
    assert project.make(instruction_dataset, instruction_dataset={"force": True})
    assert project.version("instruction_dataset") == arms.main_version
    assert shown(project) == arms.main_report
    assert samples_on_a_page(project) == arms.main_samples


def test_a_sample_of_the_arm_is_traced_and_names_it(arms: Arms):
    arms.project.ledger.refresh(arms.project.instance)
    sample = arms.rows("uniform_responses", "samples")[0]["sample_id"]
    with duckdb.connect(arms.project.ledger.read_model, read_only=True) as connection:
        found = trace(connection, sample)
        named = connection.execute("select distinct policy from lineage_of(?)", [sample]).fetchall()
    assert {step.policy for step in found.chain} == {"uniform"}
    assert named == [("uniform",)]
    assert [version for version, _ in found.datasets] == [arms.project.version("uniform_dataset")]


def test_the_estimate_before_holds_what_was_asked(arms: Arms):
    facts = arms.artefact("uniform_instructions", WEEK).facts
    asked = sum(counts["asked"] for counts in facts["outcomes"].values())
    least, most = arms.estimated["uniform_instructions"]
    assert least <= asked <= most
    least, most = arms.estimated["uniform_responses"]
    assert least <= arms.artefact("uniform_responses", WEEK).facts["samples"] <= most


def test_the_arm_made_again_asks_nothing(arms: Arms, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEAMS_DATA_DIR", str(arms.project.store.root))
    asked = arms.project.calls
    assert arms.project.make(uniform_instructions, uniform_responses, week=WEEK)
    assert arms.project.calls == asked
    assert all(reused for _, _, reused in estimate_run(load_settings(), WEEK, {}, UNIFORM_PAID).steps)


def test_without_a_generation_to_stand_beside_it_says_what_to_make_first(arms: Arms):
    assert not arms.project.make(uniform_instructions, week=UNBEGUN)
    [event] = [event for event in arms.project.last.all_events if event.is_step_failure]
    assert "materialise generated_instructions for 2026-01-12 first" in str(event.step_failure_data.error)


@pytest.mark.slow
def test_a_change_of_the_trained_generation_is_noticed(project: Project):
    assert project.make(generated_instructions, week=WEEK)
    assert project.make(uniform_instructions, week=WEEK)
    assert project.make(generated_instructions, week=WEEK, generated_instructions={"fresh": True})
    check = checked(arms_ask_the_same, project.store)
    assert not check.passed
    assert "seeds differ" in (check.description or "")


def test_what_failed_is_asked_again_and_the_budget_holds(project: Project, monkeypatch: pytest.MonkeyPatch):
    assert project.make(generated_instructions, week=WEEK)
    answer = OfflineModel.complete

    async def complete(self: OfflineModel, request: Request) -> Completion:
        if len(request.intent.before.text) % 5 == 0:
            raise CompletionError(ErrorKind.REJECTED, "the model is out", http_status=404)
        return await answer(self, request)

    with monkeypatch.context() as outage:
        outage.setattr(OfflineModel, "complete", complete)
        assert project.make(uniform_instructions, week=WEEK)
    assert project.store.current("uniform_instructions", WEEK).facts["unanswered"] > 0
    assert project.make(uniform_instructions, week=WEEK)
    facts = project.store.current("uniform_instructions", WEEK).facts
    assert facts["unanswered"] == 0
    assert checked(arms_ask_the_same, project.store).passed


def lora_that_made(folder: Path, updates: int, planned: int) -> Artefact:
    """What is on record of an adapter."""
    config = AdapterSettings(rank=4, seed=3, epochs=2).model_dump(mode="json", exclude={"force"})
    counted = ("kept_update", "trainable_parameters", "examples", "validation_examples")
    facts = AdapterFacts(
        kind="lora",
        updates=updates,
        planned_updates=planned,
        **dict.fromkeys(counted, 17),
        response_tokens=170,
        too_long=0,
        template="tokenizer",
        device="cpu",
        processes=1,
        dtype="float32",
        target_modules=["q_proj"],
        settings={},
    )
    manifest = {"config": config, "facts": facts.model_dump(mode="json")}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return Artefact(folder)


def test_the_adapter_is_trained_as_lora_was_with_as_many_updates(tmp_path: Path):
    lora = lora_that_made(tmp_path, updates=17, planned=17)
    settings = settings_of(lora)
    assert (settings.rank, settings.seed, settings.max_steps) == (4, 3, 17)
    assert stopped_at(lora) is None


def test_where_lora_stopped_early_the_adapter_keeps_the_schedule_and_stops_there(tmp_path: Path):
    lora = lora_that_made(tmp_path, updates=9, planned=40)
    assert settings_of(lora).max_steps == 40
    assert stopped_at(lora) == 9
