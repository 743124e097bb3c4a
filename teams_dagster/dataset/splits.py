"""The dataset's three sides: an example is where its seed is, in every generation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.seed_splits import EmptySplitError, Split

SPLITS: tuple[Split, ...] = get_args(Split)


def split_examples(examples: Iterable[Example], sides: Mapping[str, Split]) -> dict[Split, tuple[Example, ...]]:
    """The examples of each side, in the order given; `sides` maps seed ids to sides (`dataset_sides`).

    Raises KeyError for an example whose seed has no side, `EmptySplitError` where a side would be empty.
    """
    rows: dict[Split, list[Example]] = {split: [] for split in SPLITS}
    for example in examples:
        if example.seed_id not in sides:
            raise KeyError(f"Sample {example.sample_id}: its seed {example.seed_id} has no side; split all seeds used.")
        rows[sides[example.seed_id]].append(example)
    empty = [split for split, found in rows.items() if not found]
    if empty:
        total = sum(map(len, rows.values()))
        raise EmptySplitError(
            f"The dataset of {total} examples would have nothing in {' and '.join(empty)}: too few seeds there have an "
            "accepted sample. Add seeds or generate from more of them."
        )
    return {split: tuple(found) for split, found in rows.items()}
