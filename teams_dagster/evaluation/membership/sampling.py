"""Members and non-members that differ in nothing but membership, as far as can be seen: same step, like length."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from teams_dagster.core.rng import generator
from teams_dagster.dataset.sample import Example

LENGTH_RATIO = 1.25
"""Lengths within a bin differ by no more than this factor."""
MOST = 2000
"""Examples of a side at most: enough for half-widths of about 0.02."""


@dataclass(frozen=True)
class Candidate:
    """An example with what it is matched on."""

    example: Example
    length: int
    """Tokens of the response."""
    step: int
    """Edits between its seed and its instruction."""

    @property
    def stratum(self) -> tuple[int, int]:
        """Examples of one stratum can stand for one another."""
        return self.step, math.floor(math.log(self.length) / math.log(LENGTH_RATIO))


def matched_samples(
    members: Iterable[Candidate], others: Iterable[Candidate], *, seed: int, most: int = MOST
) -> tuple[list[Example], list[Example]]:
    """As many of each side from every stratum, `most` of a side at most, in order of sample id.

    Within a stratum, a second example of a seed is drawn only when every seed has given its first, so that the samples
    rest on as many seeds as can be. The draw is keyed by `seed` and does not depend on the order of either side.

    Raises ValueError when no stratum has examples of both sides.
    """
    sides = [_by_stratum(side) for side in (members, others)]
    pairs: list[tuple[Example, Example]] = []
    for stratum in sorted(set(sides[0]) & set(sides[1])):
        drawn = [_ordered(side[stratum], seed, *stratum) for side in sides]
        pairs += zip(*drawn, strict=False)
    if not pairs:
        counts = [sum(map(len, side.values())) for side in sides]
        raise ValueError(
            f"no training example of {counts[0]} and held-out example of {counts[1]} are alike in step and length:"
            " membership inference needs more samples on both sides"
        )
    kept = generator("membership pairs", seed).permutation(len(pairs))[:most]
    chosen = [pairs[int(i)] for i in kept]
    return _by_id(one for one, _ in chosen), _by_id(other for _, other in chosen)


def _by_stratum(side: Iterable[Candidate]) -> dict[tuple[int, int], list[Candidate]]:
    strata: dict[tuple[int, int], list[Candidate]] = defaultdict(list)
    for candidate in side:
        strata[candidate.stratum].append(candidate)
    return strata


def _ordered(candidates: Sequence[Candidate], seed: int, *stratum: int) -> list[Example]:
    """One example of each seed before any second one, the seeds and their examples in a keyed order."""
    examples = _by_id(candidate.example for candidate in candidates)
    random = generator("membership draw", seed, *stratum)
    shuffled = [examples[int(i)] for i in random.permutation(len(examples))]
    turns: dict[Hashable, int] = defaultdict(int)
    ranked = []
    for place, example in enumerate(shuffled):
        ranked.append((turns[example.seed_id], place, example))
        turns[example.seed_id] += 1
    return [example for _, _, example in sorted(ranked, key=lambda entry: entry[:2])]


def _by_id(examples: Iterable[Example]) -> list[Example]:
    return sorted(examples, key=lambda example: example.sample_id)
