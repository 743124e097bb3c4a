"""The checks of scores, on scores made by hand."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from assets.evaluation.checks import lora_chooses_as_well_as_base, lora_is_better_than_unigram
from teams_dagster.evaluation.scores import CHOICE, HELD_OUT, Score
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.tables import write_table


@pytest.fixture
def store(tmp_path: Path) -> ArtefactStore:
    return ArtefactStore(data_dir=str(tmp_path))


def checked(check: dg.AssetChecksDefinition, store: ArtefactStore) -> dg.AssetCheckResult:
    result = check(store=store)
    assert isinstance(result, dg.AssetCheckResult)
    return result


@pytest.mark.parametrize(
    ("difference", "stderr", "passed"),
    [(0.1, 0.02, True), (-0.03, 0.02, True), (-0.05, 0.02, False), (0.0, 0.0, True)],
)
def test_an_adapter_that_chooses_worse_beyond_two_errors_is_a_warning(
    store: ArtefactStore, difference: float, stderr: float, passed: bool
) -> None:
    result = scored(store, difference, stderr)
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert ("unlearnt" in (result.description or "")) is not passed


def test_a_difference_without_an_error_says_nothing(store: ArtefactStore) -> None:
    assert scored(store, -0.5, None).metadata["not_run"].value is True


def scored(store: ArtefactStore, difference: float, stderr: float | None) -> dg.AssetCheckResult:
    score = Score("lora", CHOICE, "choice_accuracy_vs_base", difference, stderr, 40, None, "the dataset")
    keep(store, score)
    return checked(lora_chooses_as_well_as_base, store)


def keep(store: ArtefactStore, score: Score) -> None:
    with store.writing("evaluation_scores", "one", about={"inputs": {}, "made_at": "2026-11-02T00:00:00"}) as draft:
        write_table(draft.folder, "evaluation_scores", [vars(score)])
        draft.finish("scores", {})


@pytest.mark.parametrize(
    ("difference", "stderr", "passed"), [(-0.3, 0.1, True), (-0.1, 0.1, False), (0.5, 0.1, False), (-0.3, None, False)]
)
def test_an_adapter_that_knows_no_more_than_token_frequencies_is_a_warning(
    store: ArtefactStore, difference: float, stderr: float | None, passed: bool
) -> None:
    keep(store, Score("lora", HELD_OUT, "heldout_loss_vs_unigram", difference, stderr, 40, None, "the dataset"))
    result = checked(lora_is_better_than_unigram, store)
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert ("little more" in (result.description or "")) is not passed


def test_scores_of_an_earlier_version_are_no_verdict(store: ArtefactStore) -> None:
    keep(store, Score("lora", HELD_OUT, "heldout_loss", 2.0, 0.1, 40, None, "the dataset"))
    assert checked(lora_is_better_than_unigram, store).metadata["not_run"].value is True
