"""Generations that have fewer rows in a dataset than they were played for, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from teams_dagster.dataset.curation import DroppedSample
from teams_dagster.dataset.gating import Gate
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.dataset.origin import AnsweredGeneration
from teams_dagster.dataset.responses import kept_reasoning
from teams_dagster.dataset.scoring import judge_of
from teams_dagster.dataset.stored import answers_asked
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.dataset import GenerationFacts, PairScoreFacts


def shortfalls(
    generations: Sequence[AnsweredGeneration],
    rows: Mapping[str, int],
    dropped: Mapping[str, Sequence[DroppedSample]],
    gate: Gate,
) -> list[str]:
    """What to say of each generation with a target that has fewer rows than it was counted with.

    One that ended before its target says so itself.

    Args:
        generations: Those of the dataset.
        rows: By partition, the rows of each in the dataset.
        dropped: By partition, its samples that are not.
        gate: The scores that the dataset is made with.
    """
    found: list[str] = []
    for generation in generations:
        partition, facts = generation.manifest.partition_key, generation.generated.read_facts(GenerationFacts)
        have, counted = rows.get(partition, 0), facts.target_kept or 0
        if have < counted:
            reasons = Counter(drop.reason for drop in dropped.get(partition, ()))
            left_out = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
            found.append(
                f"generation {partition}: {have:,} of {counted:,} samples that it was played for; left out:"
                f" {left_out or 'none'}. {_because(generation, gate)}"
            )
    return found


def _because(generation: AnsweredGeneration, gate: Gate) -> str:
    changed = [
        f"{name} ({then} then, {now} now)"
        for name, then, now in _compared(generation.manifest, generation.responses, gate)
        if then != now
    ]
    if not changed:
        return "Other generations, pairs, seeds or evaluation sets came since it was counted"
    return (
        f"It was counted with another configuration of {', '.join(changed)}: run it again with that of now and"
        " `target_samples`, and it goes on from what is paid"
    )


def _compared(manifest: GenerationManifest, responses: Artefact, gate: Gate) -> Iterator[tuple[str, object, object]]:
    """Name, value when it was counted, value now. Who scores is compared where scores decided then and do now."""
    counted, scores = manifest.counted, (gate.scores or {}).get(manifest.partition_key)
    yield "answers", counted.answers, answers_asked(responses)
    yield "reasoning", counted.reasoning_words or "none", kept_reasoning(responses) or "none"
    yield "min_score", counted.min_score, gate.least
    if counted.decides and scores is not None:
        scored_by = scores.read_facts(PairScoreFacts).scored_by
        yield "scored_by", counted.scored_by, scored_by
        if counted.scored_by == scored_by:
            yield "judge", counted.judge, judge_of(scores)
