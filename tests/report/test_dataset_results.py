"""What the report and the UI show of generations: figures that can be counted in the tables they come from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest

from assets.accounting.query_costs import query_costs
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from teams_dagster.report.content import DatasetResults
from teams_dagster.report.costs import read_costs
from teams_dagster.report.dataset_results import MadeGeneration, dataset_results, yield_funnel
from teams_dagster.store.artefact_store import Artefact
from tests.support.project import Project
from tests.support.stores import trained_store

WEEKS = ("2026-01-05", "2026-01-12")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Two generations, a dataset and the account."""
    data = tmp_path_factory.mktemp("o'clock")  # a quote in the path, as SQL has them
    shutil.copytree(trained_store(tmp_path_factory), data, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TEAMS_DATA_DIR", str(data))
        project = Project(data)
        for week in WEEKS:
            assert project.make(generated_instructions, expert_responses, week=week)
        assert project.make(instruction_dataset)
        assert project.make(query_costs)
        yield project


@pytest.fixture(scope="module")
def shown(made: Project) -> DatasetResults:
    costs = read_costs(made.store.current("query_costs"))
    return dataset_results(made.store, [MadeGeneration(made.store, week) for week in WEEKS], costs)


def rows(artefact: Artefact, table: str) -> list[dict]:
    return pq.read_table(artefact.path(f"{table}.parquet")).to_pylist()


@pytest.mark.slow
def test_each_generation_counts_its_questions_and_its_samples_in_the_dataset(
    made: Project, shown: DatasetResults
) -> None:
    members = {row["sample_id"] for row in rows(made.store.current("instruction_dataset"), "dataset_samples")}
    assert [generation.partition_key for generation in shown.generations] == list(WEEKS)
    for found in shown.generations:
        transitions = rows(made.store.current("generated_instructions", found.partition_key), "transitions")
        samples = rows(made.store.current("expert_responses", found.partition_key), "samples")
        assert found.questions == sum(row["queries"] for row in transitions) + len(samples)
        assert found.kept == len([row for row in samples if row["sample_id"] in members])
        assert found.low <= found.median <= found.high
        assert (found.cost_nano_usd, found.unpriced) == (0, 0)
    assert sum(found.kept for found in shown.generations) == shown.kept


@pytest.mark.slow
def test_the_diversity_of_steps_and_generations_is_that_of_their_own_texts(shown: DatasetResults) -> None:
    assert {measure.policy for measure in shown.diversity_by_generation} == set(WEEKS)
    by_step = [measure.policy for measure in shown.diversity_by_step]
    assert by_step == sorted(by_step, key=int)
    assert by_step[0] == "0"
    assert {m.metric for m in shown.diversity_by_step} == {
        "distinct_1",
        "distinct_2",
        "nearest_similarity",
        "vendi_score",
    }


def test_the_funnel_ends_with_the_dataset_and_loses_nothing_without_a_reason(shown: DatasetResults) -> None:
    for stage, following in zip(shown.funnel, shown.funnel[1:], strict=False):
        assert stage.count - sum(stage.lost.values()) == following.count
    assert shown.funnel[-1].count == shown.kept


def test_a_failed_question_is_lost_under_the_name_of_its_error(made: Project) -> None:
    """The same generation, as if two of its rewrites had got no answer; a provider's words stay out of the name."""
    responses = made.store.current("expert_responses", WEEKS[0])
    generated = made.store.current("generated_instructions", WEEKS[0])
    path, facts = generated.path("transitions.parquet"), generated.facts
    before, told = path.read_bytes(), dict(facts["not_accepted"])
    table = rows(generated, "transitions")
    for row in table[:2]:
        row["failure"] = "rewrite: rate_limited: \x1b[2J slow down: please"
    pq.write_table(type(pq.read_table(path)).from_pylist(table, pq.read_schema(path)), path)
    manifest = generated.folder / "manifest.json"
    kept = manifest.read_text()
    manifest.write_text(kept.replace('"not_accepted": {', '"not_accepted": {"failed": 2,'))
    try:
        funnel = yield_funnel(made.store, [responses], {})
        assert funnel[0].lost["failed rewrite rate_limited"] == 2
    finally:
        path.write_bytes(before)
        manifest.write_text(kept)
        assert told == facts["not_accepted"]


def test_each_asset_shows_its_picture_in_the_ui(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(made.store.root))
    pictures = {}
    for asset, week, name in (
        (generated_instructions, WEEKS[1], "operation_mix"),
        (instruction_dataset, None, "funnel"),
        (query_costs, None, "costs"),
    ):
        assert made.make(asset, week=week)
        (event,) = made.last.get_asset_materialization_events()
        pictures[name] = str(event.materialization.metadata[name].value)
    assert all("](data:image/png;base64," in picture for picture in pictures.values())
    assert len(set(pictures.values())) == 3


def test_the_account_tells_generations_and_operations_of_roles_apart(made: Project) -> None:
    costs = read_costs(made.store.current("query_costs"))
    partitions = {cost.group["partition_key"] for cost in costs["asset_key, partition_key"]}
    assert partitions == {None, *WEEKS}
    pairs = {(cost.group["role"], cost.group["operation"]) for cost in costs["role, operation"]}
    assert ("expert", None) in pairs
    assert any(role == "expert" and operation for role, operation in pairs)


def test_a_project_without_a_generation_shows_its_dataset_alone(made: Project) -> None:
    assert dataset_results(made.store, [], {}).generations == ()
