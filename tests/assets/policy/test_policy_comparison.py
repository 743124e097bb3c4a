"""The comparison as an asset: what it trains, what it records, what it says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from assets.policy.config import ComparisonSettings
from assets.policy.policy_comparison import policy_comparison
from assets.policy.trained_policy import trained_policy
from teams_dagster.core.operations import TEXT_OPERATIONS
from teams_dagster.core.protocol import ModelIdentity, Role
from teams_dagster.policy.algorithms.config import PPOPlusPlusConfig
from teams_dagster.policy.baselines import baseline_names
from teams_dagster.policy.checkpoint import Checkpoint, load_policy
from teams_dagster.policy.comparison.plan import STUDY
from teams_dagster.policy.comparison.share import TRAININGS
from teams_dagster.policy.comparison.stored import read_policy_scores
from teams_dagster.policy.config import TrainingConfig
from tests.support.project import Project

WIDE = {
    "training_seeds": 2,
    "baselines": ["round_robin", "guide", "look_ahead_free", "generic_prompt", "open_loop"],
    "ablations": ["text_noise"],
    "questions_per_seed": 12,
    "resamples": 200,
}


def scores(project: Project) -> dict:
    found = read_policy_scores(project.store.current("policy_comparison"))
    return {(score.policy, score.metric): score for score in found}


def asked(project: Project, training: TrainingConfig | None = None) -> dict[Role, ModelIdentity]:
    """The models that a training asks."""
    return project.models.identities(*(training or TrainingConfig()).roles)


@pytest.fixture
def project(few_seeds_trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of its own with few seeds and a trained policy."""
    data = Path(shutil.copytree(few_seeds_trained, tmp_path / "data"))
    monkeypatch.setenv("TEAMS_DATA_DIR", str(data))
    return Project(data)


@pytest.fixture(scope="module")
def compared(few_seeds_trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = Path(shutil.copytree(few_seeds_trained, tmp_path_factory.mktemp("data"), dirs_exist_ok=True))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TEAMS_DATA_DIR", str(folder))
        project = Project(folder)
        assert project.make(policy_comparison, policy_comparison=WIDE)
        yield project


@pytest.mark.slow
def test_everything_that_is_compared_is_scored_and_every_episode_is_kept(compared: Project):
    found = scores(compared)
    policies = {policy for policy, _ in found}
    assert policies == {
        "trained",
        "text_noise",
        "uniform",
        "round_robin",
        "guide",
        "look_ahead_free",
        "generic_prompt",
        "open_loop",
    }
    assert found["trained", "accepted_per_query"].training_seeds == 2
    assert ("trained", "accepted_per_query_minus_text_noise") in found
    assert ("trained", "accepted_per_query_share_of_gap") in found
    assert ("trained", "samples_to_pay_for_training") in found
    assert ("uniform", "vendi_score") in found
    folder = compared.store.current("policy_comparison").folder
    rows = pq.read_table(folder / "transitions.parquet").to_pylist()
    assert {row["policy"] for row in rows if row["purpose"] == "compare"} == policies
    assert {row["policy"] for row in rows if row["purpose"] == "train"} == {"trained", "text_noise", "open_loop"}
    assert len({row["transition_id"] for row in rows}) == len(rows)
    assert {row["chosen_by"] for row in rows if row["policy"] == "guide"} <= {"guide", "fallback"}


@pytest.mark.slow
def test_the_same_comparison_again_asks_nothing_and_trains_nothing(compared: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEAMS_DATA_DIR", str(compared.store.root))
    calls = compared.calls
    assert compared.make(policy_comparison, policy_comparison=WIDE)
    assert compared.calls == calls
    assert compared.last.asset_materializations_for_node("policy_comparison")[0].metadata["reused"].value


@pytest.mark.slow
def test_an_interrupted_comparison_keeps_the_trainings_that_were_finished(project: Project, monkeypatch):
    import teams_dagster.policy.comparison.comparison_run as stage

    wide = {**WIDE, "baselines": []}

    async def stopped(*args, **options):
        raise RuntimeError("stopped on purpose")

    with monkeypatch.context() as interrupted:
        interrupted.setattr(stage, "compare", stopped)
        assert not project.make(policy_comparison, policy_comparison=wide)
    [left] = project.store.root.rglob(TRAININGS)
    before = {path.parent.name: path.stat().st_mtime_ns for path in left.rglob("policy.safetensors")}
    assert set(before) == {"trained-1", "text_noise-0", "text_noise-1"}
    assert project.make(policy_comparison, policy_comparison=wide)
    after = project.store.current("policy_comparison").folder / TRAININGS
    assert {path.parent.name: path.stat().st_mtime_ns for path in after.rglob("policy.safetensors")} == before


def test_by_default_the_embedded_rules_have_five_trainings_and_the_quick_baselines(project: Project):
    plan = ComparisonSettings().plan(TrainingConfig(), asked(project))
    assert plan.training_seeds == 5
    alone = [operation.value for operation in TEXT_OPERATIONS]
    assert plan.baselines == ("uniform", "uniform_with_none", "round_robin", *alone, "lazy_one_edit", "lazy_two_edits")
    assert plan.ablations == ()


def test_the_study_has_five_trainings_every_baseline_and_every_ablation(project: Project):
    plan = ComparisonSettings.model_validate(STUDY).plan(TrainingConfig(), asked(project))
    assert plan.training_seeds == 5
    assert plan.baselines == tuple(baseline_names())
    assert plan.ablations == ("text_zeroed", "text_noise", "no_history", "trained_without_none")


def test_what_is_compared_by_default_asks_nothing_that_the_study_does_not(project: Project):
    settings = (ComparisonSettings(), ComparisonSettings.model_validate(STUDY))
    quick, study = (found.plan(TrainingConfig(), asked(project)) for found in settings)
    assert {training.part for training in quick.trainings(TrainingConfig())} < {
        training.part for training in study.trainings(TrainingConfig())
    }
    assert set(quick.baselines) < set(study.baselines)
    assert quick.config == study.config


def test_by_default_other_models_have_one_training_and_two_baselines(project: Project, monkeypatch):
    for role in ("INSTRUCTOR", "REVIEWER"):
        monkeypatch.setenv(f"TEAMS_{role}_MODEL", "m")
        monkeypatch.setenv(f"TEAMS_{role}_BASE_URL", "http://127.0.0.1:9/v1")
    plan = ComparisonSettings().plan(TrainingConfig(), asked(project))
    assert (plan.training_seeds, plan.baselines, plan.ablations) == (1, ("uniform", "round_robin"), ())


def test_a_guide_that_is_no_embedded_rule_is_asked_only_on_purpose(project: Project, monkeypatch):
    monkeypatch.setenv("TEAMS_GUIDE_MODEL", "m")
    monkeypatch.setenv("TEAMS_GUIDE_BASE_URL", "http://127.0.0.1:9/v1")
    for role in ("INSTRUCTOR", "REVIEWER", "EXPERT"):
        monkeypatch.setenv(f"TEAMS_{role}_PROVIDER", "offline")
    assert "guide" not in ComparisonSettings().plan(TrainingConfig(), asked(project)).baselines
    guided = TrainingConfig(algorithm=PPOPlusPlusConfig())
    assert ComparisonSettings().plan(guided, asked(project, guided)).training_seeds == 1


def test_a_guide_that_is_not_configured_is_missed_by_nobody(project: Project, monkeypatch):
    for role in ("INSTRUCTOR", "REVIEWER"):
        monkeypatch.setenv(f"TEAMS_{role}_PROVIDER", "offline")
    monkeypatch.setenv("TEAMS_EXPERT_MODEL", "m")
    monkeypatch.setenv("TEAMS_EXPERT_BASE_URL", "http://127.0.0.1:9/v1")
    plan = ComparisonSettings().plan(TrainingConfig(), asked(project))
    assert plan.training_seeds == 5
    assert Role.GUIDE not in plan.roles(TrainingConfig())


def test_one_training_is_said_to_show_no_variance(project: Project):
    assert project.make(policy_comparison, policy_comparison={})
    [event] = project.last.asset_materializations_for_node("policy_comparison")
    assert "cannot show" in str(event.metadata["note"].value)


def test_an_unknown_baseline_is_named(project: Project):
    with pytest.raises(ValueError, match="unknown baselines clever"):
        ComparisonSettings(baselines=["clever"]).plan(TrainingConfig(), asked(project))
    with pytest.raises(ValueError, match="unknown ablations deaf"):
        ComparisonSettings(ablations=["deaf"]).plan(TrainingConfig(), asked(project))


@pytest.mark.slow
def test_a_policy_that_was_kept_near_to_another_has_its_seeds_trained_so_and_no_ablation(project: Project):
    cloned = project.store.current("trained_policy").data_version
    near = {"kl_reference": {"weight": 0.1, "policy_version": cloned}, "root_seed": 3}
    assert project.make(trained_policy, trained_policy=near)
    assert project.make(policy_comparison, policy_comparison={"training_seeds": 2})
    [left] = (project.store.current("policy_comparison").folder / TRAININGS).rglob("policy.safetensors")
    deployed = load_policy(project.store.current("trained_policy"))
    assert Checkpoint.load(left).origin.reference_version == deployed.origin.reference_version == cloned
    with pytest.raises(ValueError, match="cannot be trained alike"):
        ComparisonSettings(ablations=["text_noise"]).plan(deployed.config, asked(project), referenced=True)


@pytest.mark.slow
def test_a_policy_by_another_algorithm_is_compared_with_others_trained_alike(project: Project):
    guided = {"algorithm": {"ppo_plus_plus": {}}, "iterations": 1}
    assert project.make(trained_policy, trained_policy=guided)
    assert project.make(policy_comparison, policy_comparison={"training_seeds": 2})
    rows = pq.read_table(project.store.current("policy_comparison").path("transitions.parquet")).to_pylist()
    assert any(row["chosen_by"] == "guide" for row in rows if row["purpose"] == "train")


@pytest.mark.slow
def test_other_algorithms_are_trained_and_compared_and_what_they_asked_is_told(project: Project):
    algorithms = {"algorithms": ["ppo", "bc"], "guides": ["model", "look_ahead"]}
    assert project.make(policy_comparison, policy_comparison=algorithms)
    found, names = scores(project), ("trained_by_ppo", "trained_by_bc", "trained_by_bc_under_look_ahead")
    for name in names:
        assert ("trained", f"return_minus_{name}") in found
        assert found[name, "training_iterations"].mean == 1
    assert found["trained_by_ppo", "training_queries_to_guide"].mean == 0
    assert (
        0 < found["trained_by_bc", "training_queries_to_guide"].mean < found["trained_by_bc", "training_queries"].mean
    )
    rows = pq.read_table(project.store.current("policy_comparison").path("transitions.parquet")).to_pylist()
    by = {
        name: {row["chosen_by"] for row in rows if (row["policy"], row["purpose"]) == (name, "train")} for name in names
    }
    assert by == {
        "trained_by_ppo": {"policy"},
        "trained_by_bc": {"guide"},
        "trained_by_bc_under_look_ahead": {"look_ahead"},
    }


def test_algorithms_and_guides_that_do_not_exist_are_refused_by_name(project: Project):
    with pytest.raises(ValueError, match="unknown algorithms sarsa: choose from trpo, ppo"):
        ComparisonSettings(algorithms=["sarsa"]).plan(TrainingConfig(), asked(project))
    with pytest.raises(ValueError, match="unknown guides oracle: choose from model, look_ahead"):
        ComparisonSettings(algorithms=["bc"], guides=["oracle"]).plan(TrainingConfig(), asked(project))
    with pytest.raises(ValueError, match="algorithms bc need a guide, and `guides` is empty"):
        ComparisonSettings(algorithms=["ppo", "bc"], guides=[]).plan(TrainingConfig(), asked(project))
