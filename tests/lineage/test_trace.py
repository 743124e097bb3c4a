"""Backward and forward: from a sample to what made it, and from what made it to everything it touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner, Result

from teams_dagster.cli import main
from teams_dagster.definitions import definitions
from teams_dagster.lineage.forward import KINDS, forward_lineage
from teams_dagster.lineage.records import Lineage
from teams_dagster.lineage.trace import NotFound, trace
from teams_dagster.lineage.tree import forward_lines, lineage_lines
from teams_dagster.settings import find_root, load_settings
from tests.support.stores import dataset_store


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generation with its dataset."""
    return dataset_store(tmp_path_factory)


@pytest.fixture
def model(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[duckdb.DuckDBPyConnection]:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(data))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    with duckdb.connect(data / "teams.duckdb", read_only=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def lineages(data: Path) -> list[Lineage]:
    """That of every sample."""
    with duckdb.connect(data / "teams.duckdb", read_only=True) as model:
        return [trace(model, sample) for (sample,) in rows(model, "select sample_id from samples")]


def rows(model: duckdb.DuckDBPyConnection, query: str) -> list[tuple]:
    return model.execute(query).fetchall()


def one(model: duckdb.DuckDBPyConnection, query: str) -> str:
    return rows(model, f"{query} limit 1")[0][0]


def week_of(model: duckdb.DuckDBPyConnection) -> str:
    return one(model, "select partition_key from samples")


def longest(model: duckdb.DuckDBPyConnection) -> Lineage:
    return trace(model, one(model, "select sample_id from sample_hops order by hop desc, sample_id"))


def teams(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.slow
def test_every_sample_leads_back_to_its_seed_in_the_file(lineages: list[Lineage]):
    assert len(lineages) > 50
    for found in lineages:
        assert found.seed["text"] == found.chain[0].text_before
        assert (found.seed["source"], len(found.seed["source_sha256"])) == ("seeds.jsonl", 64)
        for before, after in zip(found.chain, found.chain[1:], strict=False):
            assert (before.text_after, before.input_after) == (after.text_before, after.input_before)
            assert after.parent_transition_id == before.transition_id


def test_a_refused_sample_has_its_lineage_and_its_reason(data: Path, tmp_path: Path):
    copied = shutil.copy(data / "teams.duckdb", tmp_path / "copied.duckdb")
    with duckdb.connect(copied) as model:
        sample = one(model, "select sample_id from samples")
        model.execute("update samples set accepted = false, reason = 'refusal' where sample_id = ?", [sample])
        found = trace(model, sample)
    assert found.answer is not None
    assert (found.answer.accepted, found.answer.reason) == (False, "refusal")
    assert "├─ answer: refused: refusal" in lineage_lines(found)


def test_the_lineage_is_that_of_the_view(model: duckdb.DuckDBPyConnection):
    found = longest(model)
    assert len(found.chain) > 2
    of_view = rows(
        model,
        "select transition_id, operation, probability, verdict, reward, text_after, prompt_version"
        f" from sample_lineage where sample_id = '{found.sample_id}' order by hop",
    )
    assert of_view == [
        (s.transition_id, s.operation, s.probability, s.verdict, s.reward, s.text_after, s.prompt_version)
        for s in found.chain
    ]


def test_every_query_is_there_with_its_cost_run_and_asset(model: duckdb.DuckDBPyConnection):
    found = longest(model)
    assert [query.purpose for query in found.queries] == [*["rewrite", "review"] * len(found.chain), "respond"]
    assert {query.cost_nano_usd for query in found.queries} == {0}
    assert found.cost_nano_usd == 0
    assert {query.asset_key for query in found.queries if not query.reused} <= {
        "generated_instructions",
        "expert_responses",
    }
    assert [origin.asset_key for origin in found.origins] == ["generated_instructions", "expert_responses"]
    assert {origin.partition_key for origin in found.origins} == {week_of(model)}


def test_a_refused_edit_has_its_lineage_too(model: duckdb.DuckDBPyConnection):
    week = week_of(model)
    refused = one(model, f"select transition_id from transitions where partition_key = '{week}' and not accepted")
    found = trace(model, refused)
    assert found.sample_id is None
    assert found.chain[-1].transition_id == refused
    assert not found.chain[-1].accepted


def test_an_id_that_is_unknown_too_short_or_ambiguous_is_said_to_be_so(model: duckdb.DuckDBPyConnection):
    for given, message in (("f" * 32, "no sample and no transition"), ("abc", "too short")):
        with pytest.raises(NotFound, match=message):
            trace(model, given)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_forward_finds_the_samples_whose_lineage_names_it(
    model: duckdb.DuckDBPyConnection, lineages: list[Lineage], kind: str
):
    last = max(lineages, key=lambda lineage: len(lineage.chain))
    value, names = {
        "seed": (last.seed["seed_id"], lambda of: {of.seed["seed_id"]}),
        "operation": ("deepening", lambda of: {step.operation for step in of.chain}),
        "prompt": (
            last.chain[0].prompt_version,
            lambda of: {version for step in of.chain for version in (step.prompt_version, step.review_prompt_version)},
        ),
        "policy": (last.chain[0].policy_version, lambda of: {step.policy_version for step in of.chain}),
        "model": ("rules", lambda of: {query.model for query in of.queries}),
        "query": (last.queries[0].request_id, lambda of: {query.request_id for query in of.queries}),
    }[kind]
    found = forward_lineage(model, kind, str(value))
    expected = {of.sample_id for of in lineages if value in names(of)}
    assert expected
    assert {sample.sample_id for sample in found.shown} == expected
    assert found.samples == len(expected)
    assert sum(count for *_, count in found.datasets) == len(
        {of.sample_id for of in lineages if of.sample_id in expected and of.datasets}
    )


def test_the_template_of_answers_touches_samples_by_name(model: duckdb.DuckDBPyConnection):
    assert forward_lineage(model, "prompt", "respond").samples == rows(model, "select count(*) from samples")[0][0]


def test_what_touched_nothing_is_an_error(model: duckdb.DuckDBPyConnection):
    for kind, value, message in (("operation", "flattery", "touched nothing"), ("colour", "red", "starts from")):
        with pytest.raises(NotFound, match=message):
            forward_lineage(model, kind, value)


def test_the_tree_shows_the_chain_and_nothing_that_a_terminal_obeys(model: duckdb.DuckDBPyConnection):
    found = longest(model)
    hostile = "\x1b[2J\x1b]8;;http://x\x07 \u202e \r gone"
    steps = tuple(type(step)(**{**vars(step), "text_after": hostile, "verdict": hostile}) for step in found.chain)
    lines = "\n".join(lineage_lines(type(found)(**{**vars(found), "chain": steps})))
    assert all(step.operation in lines for step in found.chain)
    assert not {"\x1b", "\x07", "\u202e", "\r"} & set(lines)
    assert "[U+001B]" in lines


def test_the_command_prints_a_tree_json_or_a_page(model: duckdb.DuckDBPyConnection, tmp_path: Path):
    found = longest(model)
    sample = found.sample_id or ""
    assert teams("lineage", sample[:12]).output.splitlines() == lineage_lines(found)
    assert json.loads(teams("lineage", sample, "--json").output)["chain"][0]["operation"] == found.chain[0].operation
    assert teams("lineage", sample, "--html", str(tmp_path / "one.html")).exit_code == 0
    assert sample in (tmp_path / "one.html").read_text() or (tmp_path / "one.html").stat().st_size > 10_000
    forward = teams("lineage", "--from", "operation=deepening", "--limit", "2")
    assert forward.output.splitlines() == forward_lines(forward_lineage(model, "operation", "deepening", most=2))
    everything = json.loads(teams("lineage", "--from", "operation=deepening", "--json").output)
    assert len(everything["shown"]) == everything["samples"] > 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give the id of a sample, or --from"),
        (("ffffffff", "--from", "operation=deepening"), "give the id of a sample, or --from"),
        (("--from", "deepening"), "must be KIND=VALUE"),
        (("ffffffff",), "no sample and no transition"),
    ],
)
def test_the_command_says_what_is_wrong(model: duckdb.DuckDBPyConnection, arguments: tuple[str, ...], message: str):
    result = teams("lineage", *arguments)
    assert result.exit_code
    assert message in result.output


def test_an_empty_project_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    assert "make demo" in teams("lineage", "ffffffff").output


def test_the_job_logs_an_observation_on_the_asset(model: duckdb.DuckDBPyConnection):
    found = longest(model)
    job = definitions(load_settings(find_root())).resolve_job_def("trace_sample")
    with dg.DagsterInstance.ephemeral() as instance:
        run_config = {"ops": {"look_up_sample": {"config": {"sample_id": found.sample_id}}}}
        assert job.execute_in_process(instance=instance, run_config=run_config).success
        observed = instance.fetch_observations(dg.AssetKey("expert_responses"), limit=5).records
    assert [record.asset_observation.partition for record in observed if record.asset_observation] == [week_of(model)]
    assert observed[0].asset_observation is not None
    assert found.seed["text"].split()[0] in str(observed[0].asset_observation.metadata["chain"].value)
