"""Generations with fewer rows than they were played for: why, by name, and what helps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from teams_dagster.dataset.curation import DroppedSample
from teams_dagster.dataset.gating import Gate
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.dataset.origin import AnsweredGeneration
from teams_dagster.dataset.pair_settings import PairSettings
from teams_dagster.dataset.quality.rating import rate_prompt
from teams_dagster.dataset.shortfall import shortfalls
from teams_dagster.store.artefact_store import Artefact

WEEK = "2026-11-02"
PROMPT = rate_prompt().version
PLAYED = GenerationManifest(WEEK, "p", "s", (("seed", 0),), (), (), 0, target_samples=30, episodes_per_seed=8)
FACTS: dict[str, Any] = {
    "transitions": 90,
    "accepted": 40,
    "questions": 170,
    "operations": {},
    "not_accepted": {},
    "target_samples": 30,
    "target_kept": 30,
}


def artefact(folder: Path, **manifest: Any) -> Artefact:
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return Artefact(folder)


def scores(folder: Path, scored_by: str, judge: str | None) -> Artefact:
    """The scores that the dataset takes, as `pair_scores` leaves them."""
    inputs = {"expert_responses": "v"} | ({"prompt of rate": PROMPT, "model of judge": judge} if judge else {})
    facts = {"scored_by": scored_by, "responses_version": "v", "pairs": 1, "without_score": 0, "broken": 0}
    return artefact(folder / "scores", facts=facts, inputs=inputs)


def played(folder: Path, counted: PairSettings, config: dict[str, int]) -> AnsweredGeneration:
    generated = artefact(folder / "generated", facts=FACTS)
    return AnsweredGeneration(
        replace(PLAYED, counted=counted), generated, generated, artefact(folder / "responses", config=config)
    )


def test_every_setting_that_it_was_not_counted_with_is_named_with_what_was_left_out(tmp_path: Path) -> None:
    generation = played(tmp_path, PairSettings(), {"answers": 2, "max_reasoning_words": 50})
    dropped = [DroppedSample(f"s{n}", "off_topic" if n else "reasoning_too_long") for n in range(6)]
    (said,) = shortfalls([generation], {WEEK: 24}, {WEEK: dropped}, Gate(0.5))
    assert said.startswith(f"generation {WEEK}: 24 of 30 samples that it was played for; left out: 5 off_topic, 1 reas")
    assert "answers (1 then, 2 now), reasoning (none then, 50 now), min_score (0.0 then, 0.5 now)" in said
    assert "goes on from what is paid" in said


def test_where_the_configuration_is_the_same_something_else_came_between(tmp_path: Path) -> None:
    counted = PairSettings(scored_by="judge", min_score=0.5, judge=f"openai/m, prompt {PROMPT}")
    gate = Gate(0.5, {WEEK: scores(tmp_path, "judge", "openai/m")})
    (said,) = shortfalls([played(tmp_path, counted, {})], {WEEK: 29}, {}, gate)
    assert "Other generations, pairs, seeds or evaluation sets came" in said


def test_scores_that_another_judge_gave_are_named(tmp_path: Path) -> None:
    counted = PairSettings(scored_by="judge", min_score=0.5, judge=f"openai/m, prompt {PROMPT}")
    gate = Gate(0.5, {WEEK: scores(tmp_path, "judge", "openai/other")})
    (said,) = shortfalls([played(tmp_path, counted, {})], {WEEK: 29}, {}, gate)
    assert f"judge (openai/m, prompt {PROMPT} then, openai/other, prompt {PROMPT} now)" in said


def test_scores_that_programs_gave_in_the_place_of_the_judge_are_named(tmp_path: Path) -> None:
    counted = PairSettings(scored_by="judge", min_score=0.5, judge=f"openai/m, prompt {PROMPT}")
    gate = Gate(0.5, {WEEK: scores(tmp_path, "programs", None)})
    (said,) = shortfalls([played(tmp_path, counted, {})], {WEEK: 29}, {}, gate)
    assert "another configuration of scored_by (judge then, programs now):" in said


def test_a_generation_that_has_its_rows_says_nothing(tmp_path: Path) -> None:
    assert shortfalls([played(tmp_path, PairSettings(), {})], {WEEK: 30}, {}, Gate()) == []
