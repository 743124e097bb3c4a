"""A dataset that repeats itself is told, and so is a generation that brings nothing new."""

from __future__ import annotations

from collections.abc import Sequence

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.curation import curate
from teams_dagster.dataset.quality.duplicates import GenerationShare, find_repetition
from teams_dagster.dataset.sample import Example, Sample


def text(start: int, length: int = 30) -> str:
    return " ".join(f"t{start}w{k}" for k in range(length))


def sample(sample_id: str, instruction: str, week: str = "2026-11-02", *, accepted: bool = True) -> Sample:
    return Sample(
        sample_id=sample_id,
        transition_id=f"transition {sample_id}",
        episode_id="episode",
        step=0,
        partition_key=week,
        seed_id="seed",
        instruction=Instruction(instruction),
        response="An answer.",
        respond_request_id=None,
        accepted=accepted,
        reason=None if accepted else "short_apology",
    )


def examples(samples: Sequence[Sample]) -> list[Example]:
    return [Example(s.sample_id, s.seed_id, s.instruction, s.response or "") for s in samples]


def test_equal_and_nearly_equal_examples_are_paired() -> None:
    rows = [sample("a", text(1)), sample("b", text(1).upper()), sample("c", text(1) + " more"), sample("d", text(2))]
    found = find_repetition(examples(rows), rows)
    assert found.exact == [("b", "a")]
    assert found.near == [("c", "a")]


def test_what_curation_keeps_repeats_nothing() -> None:
    rows = [sample(f"s{k}", text(k % 4) + (" more" if k % 3 else "")) for k in range(20)]
    curated = curate(rows, evaluation_texts=())
    found = find_repetition(curated.examples, rows)
    assert (found.exact, found.near) == ([], [])
    assert found.generations["2026-11-02"].repeats == len(curated.dropped)


def test_each_generation_says_how_much_it_repeats() -> None:
    old, later = "2026-11-02", "2026-11-09"
    rows = [
        sample("a", text(1), old),
        sample("b", text(2), old),
        sample("refused", text(2), old, accepted=False),
        sample("c", text(1) + " more", later),
        sample("d", text(3), later),
        sample("contaminated", text(4), later),
    ]
    kept = examples([row for row in rows if row.sample_id in ("a", "b", "d")])
    found = find_repetition(kept, rows)
    assert found.generations == {old: GenerationShare(2, 0, 0), later: GenerationShare(3, 2, 1)}
    assert found.generations[later].repeated == 1 / 3
