"""Four-way response choice: does a model prefer the true response to responses of other seeds?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from teams_dagster.core.rng import generator
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.statistics import Estimate, clustered_ratio

DISTRACTORS = 3
CHANCE = 1 / (DISTRACTORS + 1)
NEAREST = 8
"""Other seeds, nearest in response length, that the distractors are drawn from: length gives little away."""


@dataclass(frozen=True)
class Question:
    """A held-out example with its choices, the true response first; the order carries no weight in the score."""

    example: Example
    choices: tuple[str, ...]
    lengths: tuple[int, ...]
    """Tokens of each choice."""


def draw_questions(
    examples: Sequence[Example], lengths: Sequence[int], *, seed: int, limits: Sequence[int] | None = None
) -> list[Question]:
    """One question per held-out example: its response among three from three other seeds, near it in length. An
    example without three such seeds, whose responses also fit its prompt as its own does, asks nothing.

    `lengths` are the responses' tokens. `limits`, where given, are the longest response that still fits after each
    example's prompt. A response with the same text as the true one is no distractor. The draw belongs to
    (seed, sample), so it does not depend on the order of `examples`.

    Raises ValueError when no example asks anything.
    """
    by_length: dict[int, list[Example]] = defaultdict(list)
    for example, length in zip(examples, lengths, strict=True):
        by_length[length].append(example)
    found = [
        _question(example, length, by_length, seed, limits[i] if limits is not None else None)
        for i, (example, length) in enumerate(zip(examples, lengths, strict=True))
    ]
    questions = [question for question in found if question is not None]
    if not questions:
        raise ValueError(
            f"none of {len(examples)} held-out samples has {DISTRACTORS} other held-out seeds with another response"
            " that fits the student's context: use more seeds, hold out a larger share of them, or use a student with a"
            " longer context"
        )
    return questions


def _question(
    example: Example, length: int, by_length: Mapping[int, Sequence[Example]], seed: int, limit: int | None
) -> Question | None:
    if limit is not None and length > limit:
        return None
    nearest: dict[str, tuple[str, int]] = {}
    taken = {example.response}
    for other, other_length in _nearest_first(length, by_length):
        if len(nearest) == NEAREST:
            break
        fits = limit is None or other_length <= limit
        if fits and other.seed_id not in (example.seed_id, *nearest) and other.response not in taken:
            nearest[other.seed_id] = (other.response, other_length)
            taken.add(other.response)
    if len(nearest) < DISTRACTORS:
        return None
    pool = list(nearest.values())
    drawn = generator("response choice", seed, example.sample_id).choice(len(pool), DISTRACTORS, replace=False)
    picked = [(example.response, length), *(pool[int(i)] for i in drawn)]
    return Question(example, tuple(text for text, _ in picked), tuple(size for _, size in picked))


def _nearest_first(length: int, by_length: Mapping[int, Sequence[Example]]) -> Iterator[tuple[Example, int]]:
    """Examples with their lengths, those nearest to `length` first, equally near ones by sample id."""

    def distance(other: int) -> int:
        return abs(other - length)

    for _, equally_near in groupby(sorted(by_length, key=distance), key=distance):
        found = [(example, other) for other in equally_near for example in by_length[other]]
        yield from sorted(found, key=lambda pair: pair[0].sample_id)


def credit(scores: Sequence[float]) -> float:
    """1 when the first score is the highest, shared among those that tie for it, else 0."""
    best = max(scores)
    return 1 / sum(score == best for score in scores) if scores[0] == best else 0.0


def choice_accuracy(credited: Sequence[float], questions: Sequence[Question]) -> Estimate:
    """Mean credit over questions, clustered by seed. Also of paired differences of credits."""
    return clustered_ratio(credited, [1] * len(credited), [question.example.seed_id for question in questions])


def shortest_answer(questions: Sequence[Question]) -> list[float]:
    """The credits of always choosing the shortest response: what length alone gives away."""
    return [credit([-length for length in question.lengths]) for question in questions]
