"""Who steers a generation: no training where none is wanted, and a policy that somebody trained before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sqlalchemy import text

from assets.accounting.sample_lineage import sample_lineage
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from resources.language_models import roles
from teams_dagster.automation.jobs import dataset
from teams_dagster.cli import main
from teams_dagster.dataset.manifests import read_manifest
from teams_dagster.definitions import defs
from teams_dagster.ledger.costs import costs_by
from teams_dagster.policy.baselines import ROUND_ROBIN, UNIFORM, baseline_version
from teams_dagster.policy.checkpoint import CHECKPOINT
from teams_dagster.policy.exchange import export_policy, import_policy
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.accounting import LineageFacts
from teams_dagster.store.facts.dataset import DatasetFacts
from tests.support.project import Project

WEEK = "2026-11-02"
SCORES = "policy_scores.parquet"
FORCED = {"forced_schedule": True, "seeds": 40}


def generate(project: Project, **config: Any) -> bool:
    made = project.make(generated_instructions, week=WEEK, generated_instructions=config)
    return made and project.make(expert_responses, week=WEEK)


def steered_by(project: Project) -> str:
    return read_manifest(project.store.current("generated_instructions", WEEK)).policy_version


@pytest.mark.slow
@pytest.mark.parametrize("policy", [UNIFORM, ROUND_ROBIN])
def test_a_dataset_is_made_without_training_and_says_who_steered(untrained: Project, policy: str) -> None:
    assert generate(untrained, policy=policy, seeds=60)
    assert untrained.make(instruction_dataset, sample_lineage)
    with untrained.ledger.open() as ledger:
        asked = {cost.group["role"] for cost in costs_by(ledger, ["role"])}
    assert asked == {"expert", "reviewer"}
    assert steered_by(untrained) == baseline_version(policy)
    (card,) = untrained.store.current("instruction_dataset").folder.rglob("README.md")
    assert f"`{baseline_version(policy)}` ({policy})" in card.read_text(encoding="utf-8")
    lineage = untrained.store.current("sample_lineage").read_facts(LineageFacts)
    assert lineage.rows_verified > 0
    assert lineage.rows_not_verified == 0


def test_a_generation_without_training_goes_on_with_its_policy(untrained: Project) -> None:
    assert generate(untrained, policy=UNIFORM)
    asked = untrained.calls
    assert generate(untrained)
    assert untrained.calls == asked


@pytest.mark.slow
def test_naming_another_policy_begins_the_generation_again(project: Project) -> None:
    assert generate(project)
    assert generate(project, policy=UNIFORM)
    assert steered_by(project) == baseline_version(UNIFORM)
    assert generate(project, policy=project.version("trained_policy")[:8])
    assert steered_by(project) == project.version("trained_policy")


def test_its_scores_go_with_a_policy_and_on_from_there(project: Project, tmp_path: Path) -> None:
    trained = project.store.current("trained_policy")
    about = {"inputs": {"trained_policy": trained.data_version}, "made_at": "2026-11-02T00:00:00"}
    with project.store.writing("policy_comparison", "one", about=about) as draft:
        (draft.folder / SCORES).write_bytes(b"scores")
        draft.finish("compared", {})
    export_policy(project.store, trained, tmp_path / "first")
    elsewhere = ArtefactStore(data_dir=str(tmp_path / "elsewhere"))
    export_policy(elsewhere, import_policy(elsewhere, tmp_path / "first"), tmp_path / "second")
    assert (tmp_path / "second" / SCORES).read_bytes() == b"scores"


def test_a_policy_without_scores_is_not_exported_beside_those_of_another(project: Project, tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / SCORES).write_bytes(b"of another")
    export_policy(project.store, project.store.current("trained_policy"), tmp_path / "policy")
    assert not (tmp_path / "policy" / SCORES).exists()


@pytest.mark.slow
def test_a_policy_is_taken_to_another_project_in_one_folder(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "policy"
    exported = CliRunner().invoke(main, ["policy", "--to", str(folder)])
    assert exported.exit_code == 0, exported.output
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "elsewhere"))
    elsewhere = Project(tmp_path / "elsewhere")
    assert elsewhere.make(seed_instructions)
    assert generate(elsewhere, policy=str(folder), seeds=60)
    assert steered_by(elsewhere) == project.version("trained_policy")
    assert elsewhere.make(instruction_dataset, sample_lineage)
    assert elsewhere.store.current("sample_lineage").read_facts(LineageFacts).rows_not_verified == 0


@pytest.mark.slow
def test_the_papers_schedule_is_forced_on_the_policy_where_it_is_wanted(project: Project) -> None:
    """Breadth at the second and the fifth step and nowhere else; said in the rows, kept by the manifest, replayed."""
    assert project.make(generated_instructions, week=WEEK)
    assert project.make(generated_instructions, expert_responses, week=WEEK, generated_instructions=FORCED)
    generated = project.store.current("generated_instructions", WEEK)
    rows = pq.read_table(generated.path("transitions.parquet")).to_pylist()
    assert {row["policy"] for row in rows} == {"trained_forced"}
    assert {row["step"] for row in rows if row["operation"] == "breadth"} == {1, 4}
    assert all(row["operation"] == "breadth" for row in rows if row["step"] in (1, 4))
    assert read_manifest(generated).forced_schedule
    asked = project.calls
    assert project.make(generated_instructions, expert_responses, instruction_dataset, sample_lineage, week=WEEK)
    assert project.calls == asked
    assert project.store.current("sample_lineage").read_facts(LineageFacts).rows_not_verified == 0
    card = project.store.current("instruction_dataset").path("files/README.md").read_text(encoding="utf-8")
    assert "a learned policy chose, under the schedule of the paper's code, how each" in " ".join(card.split())


def test_a_folder_that_was_changed_is_refused(project: Project, tmp_path: Path) -> None:
    CliRunner().invoke(main, ["policy", "--to", str(tmp_path / "policy")])
    file = tmp_path / "policy" / CHECKPOINT
    file.write_bytes(file.read_bytes() + b"x")
    for artefact in project.store.all_of("trained_policy"):
        artefact.folder.rename(tmp_path / "gone")
    assert not generate(project, policy=str(tmp_path / "policy"))


def test_a_policy_that_nobody_has_is_named(untrained: Project) -> None:
    assert not generate(untrained, policy="0123456789")
    (failure,) = untrained.last.get_step_failure_events()
    assert "'0123456789' is the version of no policy" in str(failure.step_failure_data.error)


def test_the_job_dataset_trains_nothing() -> None:
    steps = defs.resolve_job_def(dataset.name).graph.node_dict
    assert {"seed_instructions", "generated_instructions", "instruction_dataset"} <= steps.keys()
    assert "trained_policy" not in steps


@pytest.mark.slow
def test_a_small_budget_ends_in_a_dataset_whose_bill_agrees(
    untrained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_BUDGET_QUERIES", "800")
    assert not untrained.make(trained_policy, trained_policy={"iterations": None})
    assert not generate(untrained, policy=UNIFORM, seeds=240)
    assert untrained.calls == 0
    (refused,) = untrained.last.get_step_failure_events()
    assert "TEAMS_BUDGET_QUERIES is too small for this step" in str(refused.step_failure_data.error)
    assert generate(untrained, policy=UNIFORM, seeds=45)
    assert untrained.make(instruction_dataset)
    facts = untrained.store.current("instruction_dataset").read_facts(DatasetFacts)
    assert sum(facts.examples.values()) > 0
    with untrained.ledger.open() as ledger:
        assert ledger.spent().queries == untrained.calls <= 800


def test_training_cannot_spend_what_is_kept_for_a_dataset(untrained: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_BUDGET_QUERIES", "1000")
    monkeypatch.setenv("TEAMS_BUDGET_POLICY_SHARE", "0.3")
    monkeypatch.setattr(roles, "refuse_beyond_budget", lambda *_: None)  # as where the estimate was too low
    assert not untrained.make(trained_policy, trained_policy={"iterations": 2})
    assert untrained.calls == 300


def test_seeds_are_done_one_after_another_and_not_all_at_the_end(
    untrained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nothing tells how far a generation on a slow endpoint is, until its last minutes."""
    monkeypatch.setenv("TEAMS_MAX_IN_FLIGHT", "1")
    assert untrained.make(generated_instructions, week=WEEK, generated_instructions={"policy": UNIFORM, "seeds": 30})
    transitions = pq.read_table(untrained.store.current("generated_instructions", WEEK).path("transitions.parquet"))
    seed_of = {row["transition_id"]: row["seed_id"] for row in transitions.to_pylist()}
    with untrained.ledger.open() as ledger, ledger.engine.connect() as connection:
        asked = connection.execute(text("select transition_id from uses order by seq")).scalars().all()
    seeds = [seed_of[transition] for transition in asked]
    first_done = min(max(n for n, seed in enumerate(seeds) if seed == one) for one in seeds)
    assert len(set(seeds[:first_done])) < 30
