"""The lineage that travels with the dataset: each sample's whole chain, from the stored tables."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.dataset import provenance
from teams_dagster.dataset.provenance import SCHEMA, ProvenanceError, keep_splits, write_provenance
from tests.support.chains import (
    EXPERT,
    RESPOND,
    REVIEWER,
    Chain,
    origin,
    sample_ids,
    write_answers,
    write_generation,
    write_members,
)
from tests.support.parquet import change, without
from tests.support.properties import example_count

CHAINS = (
    Chain(0, (("breadth", None, True), ("deepening", 0, False), ("concretizing", 0, True))),
    Chain(7, (("add_constraints", None, False), ("breadth", 0, True))),
)


def free(requests: Collection[str]) -> dict[str, int | None]:
    return dict.fromkeys(requests, 0)


def lineage(folder: Path, *, chains=CHAINS, costs_of=free) -> dict[str, dict]:
    """The rows by sample."""
    members = write_members(folder, dict.fromkeys(sample_ids(chains), "train"))
    write_provenance(folder / "lineage.parquet", members, [write_generation(folder, chains)], costs_of)
    rows = pq.read_table(folder / "lineage.parquet").to_pylist()
    return {row["sample_id"]: row for row in rows}


def test_a_row_tells_seed_chain_models_prompts_calls_and_run(tmp_path: Path) -> None:
    row = lineage(tmp_path)["sample-2026-01-05-0-2"]
    assert row == {
        "sample_id": "sample-2026-01-05-0-2",
        "split": "train",
        "transition_id": "transition-2026-01-05-0-2",
        "seed_id": "seed-0",
        "seed_source": "seeds.csv",
        "seed_row": 1,
        "seed_sha256": "ff",
        "operations": ["breadth", "concretizing"],
        "policy_version": "policy-1",
        "expert": EXPERT,
        "reviewer": REVIEWER,
        "prompt_versions": ["prompt-breadth", "prompt-concretizing"],
        "review_prompt_versions": ["prompt-review", "prompt-review"],
        "respond_prompt_version": RESPOND,
        "rewrite_request_ids": ["rewrite-0-0", "rewrite-0-2"],
        "review_request_ids": ["review-0-0", "review-0-2"],
        "turned_review_request_ids": [None, None],
        "respond_request_id": "respond-0-2",
        "partition_key": "2026-01-05",
        "run_id": "run-1",
        "dataset_version": "v1",
        "cost_nano_usd": 0,
    }


def test_a_chain_that_went_on_from_a_refused_edit_has_it_too(tmp_path: Path) -> None:
    assert lineage(tmp_path)["sample-2026-01-05-1-1"]["operations"] == ["add_constraints", "breadth"]


def test_the_cost_is_that_of_every_answer_of_the_chain(tmp_path: Path) -> None:
    rows = lineage(tmp_path, costs_of=lambda ids: {i: 10 if i.startswith("respond") else 1 for i in ids})
    assert {row["sample_id"]: row["cost_nano_usd"] for row in rows.values()} == {
        "sample-2026-01-05-0-0": 12,
        "sample-2026-01-05-0-2": 14,
        "sample-2026-01-05-1-1": 14,
    }


def test_a_review_in_the_other_order_is_part_of_the_cost_and_older_files_have_none(tmp_path: Path) -> None:
    members = write_members(tmp_path, dict.fromkeys(sample_ids(CHAINS), "train"))
    generation = write_generation(tmp_path, CHAINS)
    change(generation.transitions, "turned_review_request_id", lambda _: "turned", row=0)

    def costs() -> dict[str, int]:
        write_provenance(tmp_path / "lineage.parquet", members, [generation], lambda ids: dict.fromkeys(ids, 1))
        rows = pq.read_table(tmp_path / "lineage.parquet").to_pylist()
        return {row["sample_id"]: row["cost_nano_usd"] for row in rows}

    assert costs()["sample-2026-01-05-0-0"] == 4
    without(generation.transitions, "turned_review_request_id")
    assert costs()["sample-2026-01-05-0-0"] == 3


def test_a_review_in_the_other_order_is_named_beside_the_review_of_its_edit(tmp_path: Path) -> None:
    members = write_members(tmp_path, dict.fromkeys(sample_ids(CHAINS), "train"))
    generation = write_generation(tmp_path, CHAINS)
    change(generation.transitions, "turned_review_request_id", lambda _: "turned", row=2)
    write_provenance(tmp_path / "lineage.parquet", members, [generation], free)
    rows = {row["sample_id"]: row for row in pq.read_table(tmp_path / "lineage.parquet").to_pylist()}
    assert rows["sample-2026-01-05-0-2"]["turned_review_request_ids"] == [None, "turned"]
    assert rows["sample-2026-01-05-0-0"]["turned_review_request_ids"] == [None]


def test_further_answers_are_part_of_the_cost(tmp_path: Path) -> None:
    members = write_members(tmp_path, dict.fromkeys(sample_ids(CHAINS), "train"))
    generation = replace(write_generation(tmp_path, CHAINS), answers=write_answers(tmp_path, CHAINS, 3))
    write_provenance(tmp_path / "lineage.parquet", members, [generation], lambda ids: dict.fromkeys(ids, 1))
    rows = {row["sample_id"]: row for row in pq.read_table(tmp_path / "lineage.parquet").to_pylist()}
    assert rows["sample-2026-01-05-0-0"]["cost_nano_usd"] == 2 + 3


@pytest.mark.parametrize("known", [{"review-0-0": None}, {}])
def test_a_cost_is_null_where_one_answer_has_no_known_price(tmp_path: Path, known: dict[str, None]) -> None:
    def costs_of(ids: Collection[str]) -> dict[str, int | None]:
        return {i: 1 for i in ids if i != "review-0-0"} | {i: known[i] for i in ids if i in known}

    rows = lineage(tmp_path, costs_of=costs_of)
    costs = {sample_id: row["cost_nano_usd"] for sample_id, row in rows.items()}
    assert costs == {"sample-2026-01-05-0-0": None, "sample-2026-01-05-0-2": None, "sample-2026-01-05-1-1": 5}


def test_only_samples_of_the_dataset_have_a_row(tmp_path: Path) -> None:
    members = write_members(tmp_path, {"sample-2026-01-05-0-2": "held_out"})
    write_provenance(tmp_path / "lineage.parquet", members, [write_generation(tmp_path, CHAINS)], free)
    [row] = pq.read_table(tmp_path / "lineage.parquet").to_pylist()
    assert (row["sample_id"], row["split"]) == ("sample-2026-01-05-0-2", "held_out")


def test_several_generations_follow_each_other_with_their_own_seeds_and_models(tmp_path: Path) -> None:
    weeks = ("2026-01-05", "2026-01-12")
    generations = [write_generation(tmp_path / f"[*] {week}", CHAINS, week) for week in weeks]
    wanted = [name for week in weeks for name in sample_ids(CHAINS, week)]
    members = write_members(tmp_path, dict.fromkeys(wanted, "train"))
    write_provenance(tmp_path / "lineage.parquet", members, generations, free)
    rows = pq.read_table(tmp_path / "lineage.parquet").to_pylist()
    assert [row["partition_key"] for row in rows] == [week for week in weeks for _ in range(3)]


def test_a_sample_of_no_generation_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    members = write_members(tmp_path, {"sample-2026-01-05-0-0": "train", "elsewhere": "train"})
    with pytest.raises(ProvenanceError, match="1 samples"):
        write_provenance(tmp_path / "lineage.parquet", members, [write_generation(tmp_path, CHAINS)], free)
    assert not (tmp_path / "lineage.parquet").exists()
    assert not list(tmp_path.glob(".lineage*"))


def test_a_chain_with_a_missing_link_is_an_error_that_names_it(tmp_path: Path) -> None:
    generation = write_generation(tmp_path, CHAINS)
    stored = pq.read_table(generation.transitions)
    broken = stored.filter([name != "transition-2026-01-05-0-0" for name in stored["transition_id"].to_pylist()])
    pq.write_table(broken, generation.transitions)
    members = write_members(tmp_path, {"sample-2026-01-05-0-2": "train"})
    with pytest.raises(ProvenanceError, match="goes back to transition transition-2026-01-05-0-0"):
        write_provenance(tmp_path / "lineage.parquet", members, [generation], free)


def test_the_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        lineage(tmp_path / name)
    assert (tmp_path / "one/lineage.parquet").read_bytes() == (tmp_path / "two/lineage.parquet").read_bytes()


def test_a_part_keeps_its_own_rows(tmp_path: Path) -> None:
    ids = sample_ids(CHAINS)
    members = write_members(tmp_path, dict(zip(ids, ("train", "held_out", "train"), strict=True)))
    write_provenance(tmp_path / "lineage.parquet", members, [write_generation(tmp_path, CHAINS)], free)
    keep_splits(tmp_path / "lineage.parquet", ["train"])
    kept = pq.read_table(tmp_path / "lineage.parquet")
    assert kept["sample_id"].to_pylist() == [ids[0], ids[2]]
    assert kept.schema == SCHEMA


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    steps = [
        (
            draw(st.sampled_from(("breadth", "deepening", "concretizing"))),
            draw(st.one_of(st.none(), st.integers(0, step - 1))) if step else None,
            draw(st.booleans()),
        )
        for step in range(draw(st.integers(1, 6)))
    ]
    return Chain(draw(st.integers(0, 5)), tuple(steps))


@pytest.mark.slow
@settings(max_examples=example_count(25))
@given(st.lists(chains(), min_size=1, max_size=12))
def test_every_chain_is_what_walking_up_from_the_sample_finds(drawn: list[Chain]) -> None:
    with pytest.MonkeyPatch.context() as patched, TemporaryDirectory() as folder:
        patched.setattr(provenance, "SAMPLES_AT_ONCE", 3)
        rows = lineage(Path(folder), chains=drawn)
    assert sorted(rows) == sorted(sample_ids(drawn))
    for sample_id, row in rows.items():
        expected = origin(drawn, sample_id)
        assert {name: row[name] for name in expected} == expected
