"""Facts of generations and datasets, as their manifests have them and as they are shown."""

from __future__ import annotations

from typing import Any

from teams_dagster.core.metadata import Json, Table
from teams_dagster.store.facts.dataset import DatasetFacts, GenerationFacts

GENERATION: dict[str, Any] = {
    "transitions": 4,
    "accepted": 1,
    "questions": 5,
    "operations": {"deepening": {"chosen": 1, "accepted": 0}, "breadth": {"chosen": 3, "accepted": 1}},
    "not_accepted": {"equal": 3},
    "unanswered": 0,
}
"""As a generation recorded it before it kept what its episodes asked and the outcomes of its queries."""

DATASET = {
    "samples": 6,
    "examples": {"train": 3, "validation": 1, "held_out": 1},
    "seeds": {"train": 2, "validation": 1, "held_out": 1},
    "dropped": {"near_duplicate": 1},
    "generations": ["2026-11-02", "2026-11-09"],
}


def test_a_generation_that_was_made_before_outcomes_were_kept_can_be_read() -> None:
    facts = GenerationFacts.model_validate(GENERATION)
    assert (facts.asking, facts.outcomes) == ({}, {})


def test_a_generation_shows_what_was_chosen_and_accepted() -> None:
    assert GenerationFacts.model_validate(GENERATION).shown() == {
        "dagster/row_count": 4,
        "accepted": 1,
        "questions": 5,
        "accepted_per_query": 0.2,
        "operations": Table(("operation", "chosen", "accepted"), [("breadth", 3, 1), ("deepening", 1, 0)]),
        "not_accepted": Json({"equal": 3}),
    }


def test_a_generation_is_written_as_it_is_read() -> None:
    kept = GENERATION | {"asking": {"episodes": 1}, "outcomes": {"review": {"asked": 1, "kept": 1, "causes": {}}}}
    kept["preflight"] = ["the reviewer is slow"]
    kept |= {
        "target_samples": 40,
        "target_kept": 38,
        "target_missed": "the budget ended",
        "curated": 38,
        "out_of_budget": True,
    }
    assert GenerationFacts.model_validate(kept).model_dump(mode="json") == kept


def test_a_dataset_shows_the_rows_of_each_side() -> None:
    assert DatasetFacts.model_validate(DATASET).shown() == {
        "dagster/row_count": 5,
        "train": 3,
        "validation": 1,
        "held_out": 1,
        "dropped": Json({"near_duplicate": 1}),
        "generations": "2026-11-02, 2026-11-09",
    }
