"""Trained policies and the seeds that they are trained on, as artefacts hold them."""

from __future__ import annotations

from collections.abc import Sequence

from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.seed_splits import policy_sides
from teams_dagster.instructions.seeds import Seed
from teams_dagster.instructions.stored_seeds import read_clusters, read_seeds
from teams_dagster.policy.checkpoint import CHECKPOINT, Checkpoint
from teams_dagster.store.artefact_store import Artefact, ArtefactStore


def reference_of(store: ArtefactStore, policy: Artefact) -> Checkpoint | None:
    """The policy that a trained one was kept near to. Raises ArtefactMissing."""
    version = policy.manifest["inputs"].get("reference_policy")
    return load_policy(store.of_version("trained_policy", version)) if version else None


def policy_seeds(seeds: Artefact) -> tuple[dict[str, Instruction], dict[str, Instruction]]:
    """The seeds that train the policy and those it is compared on, by id. Near duplicates are on one side."""
    return divide(read_seeds(seeds), read_clusters(seeds))


def divide(seeds: Sequence[Seed], clusters: dict[str, str]) -> tuple[dict[str, Instruction], dict[str, Instruction]]:
    """The same of `seeds` that are not stored, given the cluster of each."""
    sides = policy_sides(clusters)
    train = {seed.seed_id: seed.instruction for seed in seeds if sides[seed.seed_id] == "train"}
    held_out = {seed.seed_id: seed.instruction for seed in seeds if sides[seed.seed_id] == "held_out"}
    return train, held_out


def load_policy(artefact: Artefact) -> Checkpoint:
    """The checkpoint in a `trained_policy` artefact."""
    return Checkpoint.load(artefact.path(CHECKPOINT))
