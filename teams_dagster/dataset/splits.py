"""The dataset's three sides: an example is where its seed is, in every generation."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import get_args

from teams_dagster.core.disk_rows import Part, Rows
from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.seed_splits import EmptySplitError, Split

SPLITS: tuple[Split, ...] = get_args(Split)


def split_examples(examples: Rows[Example], sides: Mapping[str, Split]) -> dict[Split, Rows[Example]]:
    """The examples of each side, in the order given; `sides` maps seed ids to sides (`dataset_sides`).

    Raises KeyError for an example whose seed has no side, `EmptySplitError` where a side would be empty.
    """
    places: dict[Split, array[int]] = {split: array("q") for split in SPLITS}
    for place, example in enumerate(examples):
        if example.seed_id not in sides:
            raise KeyError(f"Sample {example.sample_id}: its seed {example.seed_id} has no side; split all seeds used.")
        places[sides[example.seed_id]].append(place)
    empty = [split for split, found in places.items() if not found]
    if empty:
        raise EmptySplitError(
            f"The dataset of {len(examples)} examples would have nothing in {' and '.join(empty)}: too few seeds there"
            " have an accepted sample. Add seeds or generate from more of them."
        )
    return {split: Part(examples, found) for split, found in places.items()}
