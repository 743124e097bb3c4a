"""People's own pairs, beside the generations or instead of them: split, decontaminated, and told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from assets.dataset.dataset_checks import dataset_is_up_to_date, splits_are_apart
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from teams_dagster.dataset.stored import examples_in
from teams_dagster.store.facts.dataset import DatasetFacts
from tests.support.checks import checked
from tests.support.project import Project

WEEK = "2026-11-02"
WORDS = "bread river candle engine garden winter mirror ladder pepper violin harbour blanket".split()
CONTAMINATED = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


def pairs_file(folder: Path) -> Path:
    """As self-instruct lays rows out; one repeats a row, one has no answer."""
    rows = [
        (f"Explain how a {one} and a {two} differ.", f"A {one} is not a {two}.") for one in WORDS for two in WORDS[:5]
    ]
    rows += [rows[0], ("Say nothing at all.", ""), ("Count up.", CONTAMINATED)]
    path = folder / "own.jsonl"
    path.write_text(
        "\n".join(json.dumps({"instruction": i, "instances": [{"input": "", "output": o}]}) for i, o in rows)
    )
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    held = tmp_path / "held.jsonl"
    held.write_text(json.dumps({"question": CONTAMINATED}))
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TEAMS_PAIRS", str(pairs_file(tmp_path)))
    monkeypatch.setenv("TEAMS_EVALUATION_SETS", str(held))
    return Project(tmp_path / "data")


def test_pairs_instead_of_generations_are_a_dataset_that_no_query_was_sent_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_PAIRS_MODE", "instead")
    assert project.make(instruction_dataset)
    dataset = project.store.current("instruction_dataset")
    facts = dataset.read_facts(DatasetFacts)
    assert project.calls == 0
    assert facts.pairs == facts.examples
    assert facts.generations == []
    assert facts.pairs_refused == {"duplicate": 1, "no_response": 1}
    assert facts.dropped["contaminated"] == 1
    assert checked(splits_are_apart, store=project.store).passed
    assert checked(dataset_is_up_to_date, store=project.store).passed


def test_the_card_and_the_lineage_say_that_people_wrote_them(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_PAIRS_MODE", "instead")
    assert project.make(instruction_dataset)
    dataset = project.store.current("instruction_dataset")
    card = dataset.path("files/README.md").read_text()
    rows = pq.read_table(dataset.path("lineage.parquet")).to_pylist()
    assert f"{len(rows):,} pairs of an instruction and its answer that people wrote, from own.jsonl." in card
    assert "synthetic." not in card
    assert {row["seed_source"] for row in rows} == {"own.jsonl"}
    assert {(row["transition_id"], row["expert"], row["partition_key"], row["cost_nano_usd"]) for row in rows} == {
        (None, None, None, 0)
    }
    assert {row["sample_id"] for row in rows} == {example.sample_id for example in examples_in(dataset)}


@pytest.mark.slow
def test_pairs_beside_a_generation_leave_its_samples_as_they_are(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = project.models.settings().pairs
    monkeypatch.delenv("TEAMS_PAIRS")
    assert project.make(seed_instructions, trained_policy)
    assert project.make(generated_instructions, week=WEEK, generated_instructions={"seeds": 60})
    assert project.make(expert_responses, week=WEEK)
    assert project.make(instruction_dataset)
    alone = {example.sample_id for example in examples_in(project.store.current("instruction_dataset"))}
    monkeypatch.setenv("TEAMS_PAIRS", str(pairs))
    assert project.make(instruction_dataset)
    dataset = project.store.current("instruction_dataset")
    facts = dataset.read_facts(DatasetFacts)
    found = {example.sample_id for example in examples_in(dataset)}
    assert alone < found
    assert len(found - alone) == sum(facts.pairs.values())
    assert "made by TeaMs-RL" in dataset.path("files/README.md").read_text()
    assert "people wrote, from own.jsonl" in dataset.path("files/README.md").read_text()


def test_a_file_without_answers_is_refused_by_the_settings_name(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"instruction": "Name a colour."}')
    monkeypatch.setenv("TEAMS_PAIRS", str(bare))
    monkeypatch.setenv("TEAMS_PAIRS_MODE", "instead")
    assert not project.make(instruction_dataset)
    failure = project.last.failure_data_for_node("instruction_dataset")
    assert failure is not None
    assert "TEAMS_PAIRS: bare.jsonl has 1 instructions and no answer to any" in str(failure.error)


def test_a_target_of_a_generation_that_no_dataset_reads_is_refused_before_the_first_query(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_PAIRS_MODE", "instead")
    assert project.make(seed_instructions)
    config = {"policy": "uniform", "target_samples": 10}
    assert not project.make(generated_instructions, week=WEEK, generated_instructions=config)
    (failure,) = project.last.get_step_failure_events()
    assert "TEAMS_PAIRS_MODE=instead leaves every generation out" in str(failure.step_failure_data.error)
    assert project.calls == 0
