"""Which side of a split a seed is on: by a hash, near-duplicate seeds together, the same in every generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, get_args

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.rng import uniform
from teams_dagster.instructions.near_duplicates import cluster_keys
from teams_dagster.instructions.seeds import Seed

Split = Literal["train", "validation", "held_out"]
PolicySplit = Literal["train", "held_out"]

VALIDATION_FROM = 0.7
HELD_OUT_FROM = 0.8
"""Of the dataset's seeds about 70 % are for training, 10 % for validation and 20 % held out."""

POLICY_HELD_OUT_FROM = 0.6
"""Of the seeds about 60 % train the policy; it is compared with others on the rest."""

POLICY_VALIDATION = 0.25
"""Of the seeds that train the policy, the part on which default settings were chosen, instead of on those kept back."""


class EmptySplitError(ValueError):
    """One side of a split has nothing in it, so what is measured there would be nothing."""


def seed_clusters(seeds: Sequence[Seed]) -> dict[str, str]:
    """Seed id to cluster id: seeds joined by a chain of `same_cluster` pairs share the id of the first of them.

    A seed like no other is its own cluster, whatever else is in the file. New seeds at the end of a file move no
    earlier one, unless one is near to seeds of two clusters and so joins them. Pass all seeds that any generation
    used, earlier files first, so that old ones keep their side.
    """
    return dict(_chained(tuple((seed.seed_id, seed.instruction) for seed in seeds)))


@lru_cache(maxsize=2)  # the steps of a run ask about the same seeds, and to compare 240 takes a third of a second
def _chained(seeds: tuple[tuple[str, Instruction], ...]) -> dict[str, str]:
    return cluster_keys(seeds)


def split_of(cluster_id: str) -> Split:
    """The dataset's side of a cluster of seeds, with all their descendants."""
    draw = uniform("dataset split", cluster_id)
    if draw < VALIDATION_FROM:
        return "train"
    return "validation" if draw < HELD_OUT_FROM else "held_out"


def policy_split_of(cluster_id: str) -> PolicySplit:
    """The policy's side of a cluster of seeds; independent of the dataset's."""
    return "train" if uniform("policy split", cluster_id) < POLICY_HELD_OUT_FROM else "held_out"


def is_policy_validation(cluster_id: str) -> bool:
    """Whether a cluster on the policy's training side is kept for choosing settings; independent of the sides."""
    return uniform("policy validation", cluster_id) < POLICY_VALIDATION


def dataset_sides(clusters: Mapping[str, str]) -> dict[str, Split]:
    """Seed id to side of the dataset. Raises `EmptySplitError` where a side would have no seed."""
    sides: dict[str, Split] = {seed_id: split_of(cluster_id) for seed_id, cluster_id in clusters.items()}
    _refuse_empty(sides, get_args(Split), clusters, "dataset")
    return sides


def policy_sides(clusters: Mapping[str, str]) -> dict[str, PolicySplit]:
    """Seed id to side of the policy's seeds. Raises `EmptySplitError` where a side would have no seed."""
    sides: dict[str, PolicySplit] = {seed_id: policy_split_of(cluster_id) for seed_id, cluster_id in clusters.items()}
    _refuse_empty(sides, get_args(PolicySplit), clusters, "policy")
    return sides


def _refuse_empty(sides: Mapping[str, str], names: tuple[str, ...], clusters: Mapping[str, str], what: str) -> None:
    missing = [name for name in names if name not in sides.values()]
    if missing:
        raise EmptySplitError(
            f"The {what} split would leave {' and '.join(missing)} empty: {len(clusters)} seeds in "
            f"{len(set(clusters.values()))} clusters of near duplicates are too few to divide by hash. Add seeds that "
            "differ from these; about 50 are enough."
        )
