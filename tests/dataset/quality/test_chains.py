"""Whether chains lead back to their seeds: with several answers to an instruction, through every one of them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from teams_dagster.dataset.quality.chains import StoredGeneration, chain_faults
from tests.support.chains import Chain, write_answers, write_generation
from tests.support.parquet import change

CHAINS = (Chain(0, (("breadth", None, True), ("deepening", 0, True))),)


@pytest.fixture
def generation(tmp_path: Path) -> StoredGeneration:
    """Two samples of two answers each."""
    written = write_generation(tmp_path, CHAINS)
    return StoredGeneration(
        transitions=written.transitions,
        samples=written.samples,
        answers=write_answers(tmp_path, CHAINS, 2),
        seeds=written.seeds,
        policies={"policy-1"},
        prompts={"prompt-breadth", "prompt-deepening", "prompt-review"},
    )


def everything(requests: Collection[str]) -> set[str]:
    return set(requests)


def faults(generation: StoredGeneration, lost: str = "") -> list[str]:
    return list(map(str, chain_faults(generation, lambda ids: everything(ids) - {lost})))


def test_whole_chains_have_no_fault(generation: StoredGeneration) -> None:
    assert faults(generation) == []


def test_a_further_answer_that_the_ledger_lost_is_named(generation: StoredGeneration) -> None:
    [fault] = faults(generation, lost="respond-0-1-1")
    assert fault == (
        "1 requests of samples that have no answer on the ledger, such as sample-2026-01-05-0-1 (request respond-0-1-1)"
    )


def test_a_further_answer_without_its_request_is_named(generation: StoredGeneration) -> None:
    change(generation.answers, "respond_request_id", lambda _: None, row=1)
    assert faults(generation) == ["1 responses without the request that brought them, such as sample-2026-01-05-0-0"]


def test_an_answer_to_no_sample_is_named(generation: StoredGeneration) -> None:
    change(generation.answers, "sample_id", lambda _: "elsewhere", row=3)
    assert faults(generation) == ["1 answers to a sample that is not stored, such as elsewhere"]
