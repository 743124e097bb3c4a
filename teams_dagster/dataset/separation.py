"""What keeps validation and held-out examples apart from training, though their seeds are.

Different seeds lead to one text: breadth sends them to the same topic, and short answers are alike. An example outside
training is left out where a chain of near duplicates joins its instruction to one in training, and where its response
is one of training's but for case and white space. Nothing moves to another side. What then is still shared is
measured: words in a row, which templates of instructions and answers have in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.text import folded
from teams_dagster.dataset.curation import DroppedSample, DropReason
from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.near_duplicates import cluster_keys
from teams_dagster.instructions.ngrams import ngrams
from teams_dagster.instructions.seed_splits import EmptySplitError, Split
from teams_dagster.instructions.signatures import StoredSignatures

TRAIN: Split = "train"


@dataclass(frozen=True)
class Separated:
    """The examples of each side that are apart from training, and what was left out for it."""

    splits: dict[Split, tuple[Example, ...]]
    dropped: tuple[DroppedSample, ...]


def separate(splits: Mapping[Split, Sequence[Example]], signatures: StoredSignatures | None = None) -> Separated:
    """Leave out of the other sides what reaches training; `signatures` that were computed before save time.

    Raises `EmptySplitError` where nothing would be left of a side.
    """
    dropped = {drop.sample_id: drop for drop in shared_with_training(splits, signatures)}
    left: dict[Split, tuple[Example, ...]] = {
        split: tuple(e for e in rows if e.sample_id not in dropped) for split, rows in splits.items()
    }
    if empty := [split for split, rows in left.items() if not rows]:
        raise EmptySplitError(
            f"Nothing would be left in {' and '.join(empty)}: every example there has a near duplicate or its response"
            " in training. Add seeds or generate from more of them."
        )
    return Separated(left, tuple(dropped.values()))


def shared_with_training(
    splits: Mapping[Split, Sequence[Example]], signatures: StoredSignatures | None = None
) -> Iterator[DroppedSample]:
    """The examples of the other sides that reach training, each with the one it reaches."""
    every = (example for rows in splits.values() for example in rows)
    joined = cluster_keys(((example.sample_id, example.instruction) for example in every), signatures)
    clusters: dict[str, str] = {}
    responses: dict[str, str] = {}
    for example in splits[TRAIN]:
        clusters.setdefault(joined[example.sample_id], example.sample_id)
        responses.setdefault(content_hash(folded(example.response)), example.sample_id)
    for split, rows in splits.items():
        for example in rows if split != TRAIN else ():
            if near := clusters.get(joined[example.sample_id]):
                yield DroppedSample(example.sample_id, DropReason.NEAR_TRAINING, near)
            elif same := responses.get(content_hash(folded(example.response))):
                yield DroppedSample(example.sample_id, DropReason.RESPONSE_IN_TRAINING, same)


def remaining_overlap(splits: Mapping[Split, Sequence[Example]]) -> dict[str, float]:
    """Of held-out examples, the share that has 13 words in a row in common with training: instructions, responses."""
    return {
        "instructions": _overlap([_asked(e) for e in splits["held_out"]], map(_asked, splits[TRAIN])),
        "responses": _overlap([e.response for e in splits["held_out"]], (e.response for e in splits[TRAIN])),
    }


def _asked(example: Example) -> str:
    return f"{example.instruction.text}\n{example.instruction.input}"


def _overlap(texts: Sequence[str], training: Iterable[str]) -> float:
    """The share of `texts` with an n-gram of `training`. Only the n-grams of `texts` are held in memory."""
    own = [ngrams(text) for text in texts]
    every = set[str]().union(*own)
    shared = {ngram for text in training for ngram in ngrams(text) & every}
    return sum(not shared.isdisjoint(found) for found in own) / len(own) if own else 0.0
