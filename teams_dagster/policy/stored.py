"""Trained policies as artefacts hold them: what one is made from, what is recorded of it, and how it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from teams_dagster.core.instruction import Instruction
from teams_dagster.environment.answers_cost import AnswersCost
from teams_dagster.instructions.seed_splits import policy_sides
from teams_dagster.instructions.seeds import Seed
from teams_dagster.instructions.stored_prompts import prompts_version
from teams_dagster.instructions.stored_seeds import read_clusters, read_seeds
from teams_dagster.policy.checkpoint import CHECKPOINT, Checkpoint
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.encoder import encoder
from teams_dagster.policy.tally import is_flat
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.policy import PolicyFacts


def load_policy(artefact: Artefact) -> Checkpoint:
    """The checkpoint in a `trained_policy` artefact."""
    return Checkpoint.load(artefact.path(CHECKPOINT))


def policy_of_version(store: ArtefactStore, version: str) -> Checkpoint:
    """The checkpoint of the policy with this version. Raises ArtefactMissing."""
    return load_policy(store.of_version("trained_policy", version))


def reference_of(store: ArtefactStore, policy: Artefact) -> Checkpoint | None:
    """The policy that a trained one was kept near to. Raises ArtefactMissing."""
    version = policy.manifest["inputs"].get("reference_policy")
    return policy_of_version(store, version) if version else None


def policy_seeds(seeds: Artefact) -> tuple[dict[str, Instruction], dict[str, Instruction]]:
    """The seeds that train the policy and those it is compared on, by id. Near duplicates are on one side."""
    return divide(read_seeds(seeds), read_clusters(seeds))


def divide(seeds: Sequence[Seed], clusters: dict[str, str]) -> tuple[dict[str, Instruction], dict[str, Instruction]]:
    """The same of `seeds` that are not stored, given the cluster of each."""
    sides = policy_sides(clusters)
    train = {seed.seed_id: seed.instruction for seed in seeds if sides[seed.seed_id] == "train"}
    held_out = {seed.seed_id: seed.instruction for seed in seeds if sides[seed.seed_id] == "held_out"}
    return train, held_out


def policy_inputs(
    seeds: Artefact, training: TrainingConfig, model_versions: Mapping[str, str], reference_version: str
) -> dict[str, str]:
    """What a trained policy is made from, besides its configuration, by name to version.

    Args:
        model_versions: Of the models that are asked.
        reference_version: Of the policy that the training stays near to; empty: the uniform one.
    """
    return {
        "seed_instructions": seeds.data_version,
        "prompts": prompts_version(),
        "features": encoder(training.features).version,
        **model_versions,
        **({"reference_policy": reference_version} if reference_version else {}),
    }


def policy_row(checkpoint: Checkpoint, seeds_version: str, cost: AnswersCost, run_id: str) -> dict[str, object]:
    """The row of table `policies`."""
    return {
        "policy_version": checkpoint.policy_version,
        "algorithm": checkpoint.config.algorithm.name,
        "config": json.dumps(checkpoint.config.model_dump(mode="json"), sort_keys=True),
        "instructor": str(checkpoint.origin.instructor),
        "reviewer": str(checkpoint.origin.reviewer),
        "guide": str(checkpoint.origin.guide) if checkpoint.origin.guide else None,
        "seeds_version": seeds_version,
        "pool_version": checkpoint.origin.pool_version,
        "feature_version": checkpoint.origin.feature_version,
        "iterations": checkpoint.iteration,
        "queries": sum(point.queries for point in checkpoint.curve),
        "cost_nano_usd": cost.nano_usd,
        "unpriced": cost.unpriced,
        "run_id": run_id,
    }


def policy_facts(
    checkpoint: Checkpoint, cost: AnswersCost, *, asking: dict[str, int], outcomes: dict[str, dict[str, object]]
) -> PolicyFacts:
    """The facts of a finished training; `asking` and `outcomes` are what its queries came to."""
    first, last = checkpoint.curve[0], checkpoint.curve[-1]
    return PolicyFacts(
        algorithm=checkpoint.config.algorithm.name,
        iterations=checkpoint.iteration,
        stopped_early=checkpoint.stopped_early,
        guidance_queries=sum(point.guidance_queries for point in checkpoint.curve),
        fallbacks=sum(point.fallbacks for point in checkpoint.curve),
        cost_nano_usd=cost.nano_usd,
        unpriced=cost.unpriced,
        kl=last.kl,
        entropy=last.entropy,
        explained_variance=last.explained_variance,
        questions=sum(point.queries for point in checkpoint.curve),
        mean_return=last.mean_return,
        accepted_per_query=last.accepted_per_query,
        accepted_per_episode=last.accepted_per_episode,
        reward_variance=first.reward_variance,
        flat_reward=is_flat(first.reward_variance),
        operation_mix=last.operation_mix,
        instructor=checkpoint.origin.instructor,
        reviewer=checkpoint.origin.reviewer,
        asking=asking,
        outcomes=outcomes,
    )
