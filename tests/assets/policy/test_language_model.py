"""A language model as the operation policy through the graph: from its training to a policy elsewhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from assets.accounting.sample_lineage import sample_lineage
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.models.base_model import base_model
from assets.policy.checks import policy_acts
from assets.policy.config import KLReference, LanguageModelReader, PolicyConfig
from assets.policy.policy_comparison import policy_comparison
from assets.policy.trained_policy import trained_policy
from teams_dagster.policy.checkpoint import BASE, Checkpoint, load_policy
from teams_dagster.policy.comparison.scores import HEADLINE
from teams_dagster.policy.comparison.stored import read_policy_scores
from teams_dagster.policy.exchange import PolicyFolderDamaged, export_policy, import_policy
from teams_dagster.policy.reader.reading import BaseUnavailable
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.student import base
from tests.support.checks import checked
from tests.support.parquet import change
from tests.support.project import Project
from tests.support.small_llama import small_llama
from tests.support.stores import WEEK, made_once

READS: dict[str, Any] = {
    "reader": {"language_model": {"rank": 4}},
    "algorithm": {"ppo": {"epochs": 1, "learning_rate": 1e-2}},
}


@pytest.fixture(scope="session")
def prompted(few_seeds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which a student as the embedded one, but smaller, is the policy of a generation; made once."""

    def make(project: Project) -> None:
        with pytest.MonkeyPatch.context() as smaller:
            smaller.setattr(base, "_architecture", tiny)
            assert project.make(base_model, base_model={"steps": 2})
        assert project.make(trained_policy, trained_policy=READS)
        assert project.make(generated_instructions, expert_responses, week=WEEK)

    return made_once(tmp_path_factory, "prompted", make, few_seeds)


def tiny(tokenizer: Any) -> Any:
    """A few thousand weights in the place of a million."""
    return small_llama(
        vocab_size=len(tokenizer),
        max_position_embeddings=base.CONTEXT,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    ).config


@pytest.fixture
def project(prompted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of its own with it."""
    shutil.copytree(prompted, tmp_path / "data")
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    return Project(tmp_path / "data")


def trained(project: Project) -> Checkpoint:
    return load_policy(project.store.current("trained_policy"))


@pytest.mark.slow
def test_the_policy_keeps_the_student_that_it_reads_with(project: Project):
    policy = project.store.current("trained_policy")
    assert trained(project).base == str(policy.folder / BASE)
    assert f"{BASE}/model.safetensors" in policy.manifest["files"]
    assert policy.manifest["inputs"]["base_model"] == project.version("base_model")


@pytest.mark.slow
def test_training_again_asks_nothing(project: Project):
    before = project.calls, project.version("trained_policy")
    assert project.make(trained_policy, trained_policy=READS)
    assert (project.calls, project.version("trained_policy")) == before


@pytest.mark.slow
def test_another_student_trains_another_policy(project: Project):
    before = project.version("trained_policy")
    with pytest.MonkeyPatch.context() as smaller:
        smaller.setattr(base, "_architecture", tiny)
        assert project.make(base_model, base_model={"steps": 2, "seed": 1})
    assert project.make(trained_policy, trained_policy=READS)
    assert project.version("trained_policy") != before


def test_the_check_finds_distributions(project: Project):
    assert checked(policy_acts, store=project.store).passed


def test_it_steers_a_generation_whose_rows_all_come_out_again(project: Project):
    assert project.make(sample_lineage)
    facts = project.store.current("sample_lineage").facts
    transitions = project.store.current("generated_instructions", WEEK).facts["transitions"]
    assert facts["rows_verified"] == transitions + facts["samples"]
    assert facts["not_verified"] == {}


def test_a_changed_probability_is_found(project: Project):
    path = project.store.current("generated_instructions", WEEK).path("transitions.parquet")
    change(path, "probability", lambda value: value + 5e-3)
    assert not project.make(sample_lineage)


def test_without_its_language_model_all_but_its_probabilities_is_verified(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    def absent(*_: Any) -> None:
        raise BaseUnavailable("no such model")

    monkeypatch.setattr(Checkpoint, "actor", absent)
    assert project.make(sample_lineage)
    assert list(project.store.current("sample_lineage").facts["not_verified"]) == [
        "probabilities of a policy whose language model is not here"
    ]


@pytest.mark.slow
def test_it_is_compared_with_uniform_and_its_other_trainings(project: Project):
    assert project.make(policy_comparison, policy_comparison={"training_seeds": 2, "ablations": ["no_history"]})
    scores = read_policy_scores(project.store.current("policy_comparison"))
    found = {score.policy: score.training_seeds for score in scores if score.metric == HEADLINE}
    assert (found["trained"], found["no_history"]) == (2, 2)


def test_it_is_taken_to_another_project_with_its_student(project: Project, tmp_path: Path):
    names = export_policy(project.store, project.store.current("trained_policy"), tmp_path / "policy")
    assert f"{BASE}/tokenizer.json" in names
    elsewhere = ArtefactStore(data_dir=str(tmp_path / "elsewhere"))
    taken = load_policy(import_policy(elsewhere, tmp_path / "policy"))
    assert taken.policy_version == trained(project).policy_version
    assert taken.actor()


def test_a_changed_student_is_not_taken(project: Project, tmp_path: Path):
    export_policy(project.store, project.store.current("trained_policy"), tmp_path / "policy")
    (tmp_path / "policy" / BASE / "config.json").write_text("{}")
    with pytest.raises(PolicyFolderDamaged, match="is not the file that was exported"):
        import_policy(ArtefactStore(data_dir=str(tmp_path / "elsewhere")), tmp_path / "policy")


def test_without_a_student_a_training_says_what_to_make_first(
    few_seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(few_seeds, tmp_path / "data")
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    bare = Project(tmp_path / "data")
    assert not bare.make(trained_policy, trained_policy=READS)
    [failure] = [event for event in bare.last.all_events if event.is_step_failure]
    assert "materialise `base_model` first" in str(failure.step_failure_data.error)


@pytest.mark.slow
def test_a_folder_can_be_the_base(project: Project):
    student = os.path.join(str(project.store.current("trained_policy").folder), BASE)
    reads = READS | {"reader": {"language_model": {"rank": 4, "base": student}}}
    assert project.make(trained_policy, trained_policy=reads)
    policy = project.store.current("trained_policy")
    assert not (policy.folder / BASE).exists()
    assert load_policy(policy).actor()


def test_a_reference_policy_is_refused_where_a_language_model_reads():
    config = PolicyConfig(
        reader=LanguageModelReader(),
        algorithm={"ppo": {}},  # pyright: ignore[reportArgumentType] (as Dagster gives it)
        kl_reference=KLReference(weight=0.1, policy_version="v"),
    )
    with pytest.raises(ValueError, match=r"kl_reference\.policy_version: where a language model reads"):
        config.training()
