"""What keeps validation and held-out examples apart from training, though their seeds are.

Different seeds lead to one text: breadth sends them to the same topic, and short answers are alike. An example outside
training is left out where a chain of near duplicates joins its instruction to one in training, and where its response
is one of training's but for case and white space. Nothing moves to another side. What then is still shared is
measured: words in a row, which templates of instructions and answers have in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from teams_dagster.core.disk_rows import Part, Rows
from teams_dagster.core.hashing import ID_LENGTH, content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.text import folded
from teams_dagster.dataset.curation import DroppedSample, DropReason
from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.near_duplicates import clusters
from teams_dagster.instructions.ngrams import share_overlapping
from teams_dagster.instructions.seed_splits import EmptySplitError, Split
from teams_dagster.instructions.signatures import StoredSignatures

TRAIN: Split = "train"


@dataclass(frozen=True)
class Separated:
    """The examples of each side that are apart from training, and what was left out for it."""

    splits: dict[Split, Rows[Example]]
    dropped: tuple[DroppedSample, ...]


def separate(splits: Mapping[Split, Rows[Example]], signatures: StoredSignatures | None = None) -> Separated:
    """Leave out of the other sides what reaches training; `signatures` that were computed before save time.

    Raises `EmptySplitError` where nothing would be left of a side.
    """
    dropped = list(_shared(splits, signatures))
    out = {(split, place) for split, place, _ in dropped}
    left: dict[Split, Rows[Example]] = {
        split: Part(rows, (place for place in range(len(rows)) if (split, place) not in out))
        for split, rows in splits.items()
    }
    if empty := [split for split, rows in left.items() if not len(rows)]:
        raise EmptySplitError(
            f"Nothing would be left in {' and '.join(empty)}: every example there has a near duplicate or its response"
            " in training. Add seeds or generate from more of them."
        )
    return Separated(left, tuple(drop for _, _, drop in dropped))


def shared_with_training(
    splits: Mapping[Split, Rows[Example]], signatures: StoredSignatures | None = None
) -> Iterator[DroppedSample]:
    """The examples of the other sides that reach training, each with the one it reaches."""
    return (drop for _, _, drop in _shared(splits, signatures))


def _shared(
    splits: Mapping[Split, Rows[Example]], signatures: StoredSignatures | None
) -> Iterator[tuple[Split, int, DroppedSample]]:
    """The same, with the side and the place of each."""
    responses = bytearray()

    def instructions() -> Iterator[Instruction]:
        for rows in splits.values():
            for example in rows:
                responses.extend(bytes.fromhex(content_hash(folded(example.response))))
                yield example.instruction

    leaders = _by_side(clusters(instructions(), signatures), splits)
    texts = _by_side(np.frombuffer(responses, f"S{ID_LENGTH // 2}"), splits)
    training = splits[TRAIN]
    for split, rows in splits.items():
        if split == TRAIN:
            continue
        near, same = _first_places(leaders[TRAIN], leaders[split]), _first_places(texts[TRAIN], texts[split])
        for place in np.flatnonzero((near >= 0) | (same >= 0)).tolist():
            reached, reason = (
                (near[place], DropReason.NEAR_TRAINING)
                if near[place] >= 0
                else (same[place], DropReason.RESPONSE_IN_TRAINING)
            )
            dropped = DroppedSample(rows[place].sample_id, reason, training[int(reached)].sample_id)
            yield split, place, dropped


def _by_side(values: NDArray[Any], splits: Mapping[Split, Rows[Example]]) -> dict[Split, NDArray[Any]]:
    """The values of each side's examples, which follow each other in the order of the sides."""
    ends = np.cumsum([len(rows) for rows in splits.values()])
    return dict(zip(splits, np.split(values, ends[:-1]), strict=True))


def _first_places(among: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.int64]:
    """Where each value is first; -1 for one that is not there."""
    if not len(among):
        return np.full(len(wanted), -1)
    known, first = np.unique(among, return_index=True)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[at] == wanted, first[at], -1)


def remaining_overlap(splits: Mapping[Split, Rows[Example]]) -> dict[str, float]:
    """Of held-out examples, the share that has 13 words in a row in common with training: instructions, responses."""
    held_out, training = splits["held_out"], splits[TRAIN]
    return {
        "instructions": share_overlapping(map(_asked, held_out), map(_asked, training)),
        "responses": share_overlapping((e.response for e in held_out), (e.response for e in training)),
    }


def _asked(example: Example) -> str:
    return f"{example.instruction.text}\n{example.instruction.input}"
