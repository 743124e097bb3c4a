"""The code location as Dagster loads it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from assets.freshness import freshness
from assets.partitions import GENERATIONS
from teams_dagster.automation import SCHEDULES, SENSORS
from teams_dagster.automation.schedules import weekly_generation
from teams_dagster.definitions import defs

GROUPS = {
    "seeds": {"seed_instructions"},
    "policy": {"trained_policy", "policy_comparison"},
    "dataset": {"generated_instructions", "expert_responses", "pair_scores", "instruction_dataset"},
    "models": {"base_model", "lora_model", "qlora_model"},
    "evaluation": {"evaluation_scores", "judged_win_rate", "paper_table", "privacy_audit"},
    "accounting": {"query_costs", "sample_lineage", "report"},
    "uniform_arm": {
        "uniform_instructions",
        "uniform_responses",
        "uniform_dataset",
        "lora_uniform",
        "uniform_scores",
    },
    "outcome": {"outcome_scores"},
    "rlgf": {"rlgf_model", "rlgf_scores"},
}
ASSETS = sorted(set().union(*GROUPS.values()))
UNIFORM_PAID = {"uniform_instructions", "uniform_responses"}
PAID = {
    "trained_policy",
    "policy_comparison",
    "generated_instructions",
    "expert_responses",
    "pair_scores",
    "judged_win_rate",
    *UNIFORM_PAID,
    "outcome_scores",
    "rlgf_model",
    "rlgf_scores",
}

graph = defs.resolve_asset_graph()


def node(asset_key: str):
    return graph.get(dg.AssetKey(asset_key))


def test_the_location_is_loadable():
    dg.Definitions.validate_loadable(defs)


def test_every_asset_has_its_fixed_key_and_group():
    found: dict[str, set[str]] = {}
    for key in graph.get_all_asset_keys():
        found.setdefault(graph.get(key).group_name, set()).add(key.to_user_string())
    assert found == GROUPS


@pytest.mark.parametrize("asset_key", ASSETS)
def test_every_asset_says_what_it_is(asset_key: str):
    asset = node(asset_key)
    assert asset.description
    assert asset.owners
    assert asset.kinds
    assert asset.code_version


def test_generations_are_weekly_and_the_current_week_is_one():
    partitioned = {key for key in ASSETS if node(key).partitions_def is not None}
    assert partitioned == {"generated_instructions", "expert_responses", "pair_scores", *UNIFORM_PAID}
    last = datetime.fromisoformat(GENERATIONS.get_partition_keys()[-1]).replace(tzinfo=UTC)
    assert last <= datetime.now(UTC)
    assert last.weekday() == 0
    assert (datetime.now(UTC) - last).days < 7


@pytest.mark.parametrize("asset_key", sorted(PAID))
def test_a_paid_asset_is_never_eager(asset_key: str):
    assert node(asset_key).automation_condition is None


def test_nothing_paid_depends_on_the_comparison():
    downstream = graph.get(dg.AssetKey("policy_comparison")).child_keys
    assert {key.to_user_string() for key in downstream}.isdisjoint(PAID)


@pytest.mark.parametrize(
    ("job", "assets"),
    [
        ("everything", set(ASSETS) - GROUPS["uniform_arm"] - GROUPS["outcome"] - GROUPS["rlgf"]),
        ("uniform_arm", GROUPS["uniform_arm"] | {"paper_table", "report"}),
        ("outcome_study", GROUPS["outcome"]),
        ("train_rlgf", GROUPS["rlgf"] | {"report"}),
        ("train_policy", GROUPS["seeds"] | GROUPS["policy"]),
        ("regenerate", GROUPS["dataset"] | {"query_costs", "sample_lineage"}),
        ("fine_tune_and_evaluate", GROUPS["models"] | GROUPS["evaluation"] | {"report"}),
        ("train_on_pairs", GROUPS["models"] | {"instruction_dataset", "evaluation_scores", "privacy_audit"}),
    ],
)
def test_each_natural_piece_has_its_job(job: str, assets: set[str]):
    selected = defs.resolve_job_def(job).asset_layer.executable_asset_keys
    assert {key.to_user_string() for key in selected} == assets


@pytest.mark.parametrize("scores", ["evaluation_scores", "judged_win_rate", "rlgf_scores"])
def test_a_report_is_written_after_the_scores_that_it_shows(scores: str):
    assert dg.AssetKey("report") in graph.get(dg.AssetKey(scores)).child_keys


def test_the_checks_can_run_without_materialising_anything():
    job = defs.resolve_job_def("checks")
    assert not job.asset_layer.executable_asset_keys
    assert job.asset_layer.asset_graph.asset_check_keys


@pytest.mark.parametrize("asset_key", sorted(set(ASSETS) - {"base_model", "report", "paper_table"}))
def test_every_stage_worth_gating_has_a_check(asset_key: str):
    assert graph.get_check_keys_for_assets({dg.AssetKey(asset_key)})


def test_before_money_is_spent_bad_seeds_and_broken_policies_stop_the_run():
    blocking = {key.name for key in graph.asset_check_keys if graph.get(key).blocking}
    assert {"seeds_fill_every_split", "policy_acts", "rewrites_are_accepted", "answers_are_kept"} <= blocking


def test_the_schedule_is_off_until_it_is_switched_on():
    assert weekly_generation.default_status is dg.DefaultScheduleStatus.STOPPED


@pytest.mark.parametrize("definition", [*SCHEDULES, *SENSORS], ids=lambda definition: definition.name)
def test_what_begins_by_itself_says_why_and_is_off(definition: dg.ScheduleDefinition | dg.SensorDefinition):
    assert definition.description
    running = definition.default_status.value == "RUNNING"
    assert running == (definition.name == "collect_batches"), "which does nothing while no batch is open"


def test_nothing_is_overdue_unless_days_are_set(monkeypatch: pytest.MonkeyPatch):
    assert node("instruction_dataset").freshness_policy is None
    assert node("evaluation_scores").freshness_policy is None
    monkeypatch.setenv("TEAMS_FRESH_DAYS", "8")
    assert freshness() == dg.FreshnessPolicy.time_window(fail_window=timedelta(days=8))


@pytest.mark.slow
def test_loading_the_location_imports_nothing_heavy():
    heavy = (
        "torch",
        "transformers",
        "peft",
        "bitsandbytes",
        "trl",
        "datasets",
        "matplotlib",
        "openai",
        "scipy",
        "gymnasium",
    )
    code = f"import sys, teams_dagster.definitions; print([name for name in {heavy!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
