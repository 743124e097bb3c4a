"""Who scores pairs, and what rating them will ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.building import dataset_sources
from teams_dagster.dataset.gating import ScoresMissing
from teams_dagster.dataset.manifests import read_manifest
from teams_dagster.dataset.pair_settings import JUDGE, NOBODY, NobodyScores, PairSettings, pair_settings
from teams_dagster.dataset.scoring import judge_named, rating_queries
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.tables import write_table
from tests.support.weeks import Weeks

WEEK = "2026-11-02"
VERSIONS = {"model of judge": "openai/m"}


def test_several_answers_that_nobody_scores_are_refused_where_pairs_are_counted() -> None:
    with pytest.raises(
        NobodyScores, match=r"answers is 2, and nobody scores .*`scored_by: nobody`.*`scored_by: judge`"
    ):
        pair_settings(answers=2, reasoning_words=None, scored_by=NOBODY, min_score=0.0)


def answered(weeks: Weeks, counted: PairSettings, answers: int) -> Artefact:
    """A generation of one sample that was played to a target, with so many answers to it."""
    weeks.generation(WEEK, "a")
    generated = weeks.store.current("generated_instructions", WEEK)
    manifest = replace(read_manifest(generated), target_samples=1, counted=counted)
    (generated.folder / "generation.json").write_text(manifest.to_json(), encoding="utf-8")
    given: dict[str, Any] = {"sample_id": "a", "partition_key": WEEK, "accepted": True, "response": "so"}
    sample = {"transition_id": "t", "episode_id": "e", "step": 0, "seed_id": "seed", "instruction_id": "i"}
    rows = {
        "samples": [given | sample | {"instruction": "Say so.", "input": ""}],
        "sample_answers": [given | {"answer": number} for number in range(answers)],
    }
    folder = weeks.store.current("expert_responses", WEEK).folder
    for table, found in rows.items():
        write_table(folder, table, found)
    return weeks.store.current("expert_responses", WEEK)


@pytest.mark.parametrize(("answers", "open_still"), [(2, 0), (3, 1)])
def test_answers_beyond_those_that_a_target_was_counted_with_are_still_to_be_rated(
    tmp_path: Path, answers: int, open_still: int
) -> None:
    weeks, counted = Weeks(tmp_path), PairSettings(answers=2, scored_by=JUDGE, judge=judge_named(VERSIONS))
    responses = answered(weeks, counted, answers)
    (asked,) = rating_queries(weeks.store, responses, None, VERSIONS)
    assert (asked.least, asked.likely, asked.most) == (open_still,) * 3


def test_several_answers_of_another_generation_that_nobody_scored_are_named_before_a_target_is_played(
    tmp_path: Path,
) -> None:
    weeks = Weeks(tmp_path)
    answered(weeks, PairSettings(), 2)
    with pytest.raises(ScoresMissing, match=f"generation {WEEK} has several answers"):
        dataset_sources(weeks.store, TRAINED_ARM, (), without="2026-11-09")
