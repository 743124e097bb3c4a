"""A policy on disk: one safetensors file that holds all of a training run's state, replaced atomically.

That is the policy, its critics, the optimisers' moments and the price of the reference term. There is no running
normaliser to keep (features and advantages need none), and every random stream is keyed by the number of the iteration,
so the number of finished ones is the streams' state. A resumed run continues bit for bit. Reading needs no torch.

An artefact of `trained_policy` holds one, beside what it was made from and what is recorded of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from teams_dagster.core.files import write_atomically
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import ModelIdentity, identity_of
from teams_dagster.environment.answers_cost import AnswersCost
from teams_dagster.environment.decisions import Actor
from teams_dagster.environment.order_effect import OrderEffect
from teams_dagster.instructions.prompts import prompts_version
from teams_dagster.instructions.seed_splits import is_policy_validation, policy_sides
from teams_dagster.instructions.seeds import Seed
from teams_dagster.instructions.stored_seeds import read_clusters, read_seeds
from teams_dagster.policy.algorithms.base import LABELLED
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.curve import IterationRecord, is_flat, stops_early
from teams_dagster.policy.reader.reading import reader
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.policy import PolicyFacts

FORMAT = 2
"""Raised when the file's layout changes."""

Weights = dict[str, np.ndarray]
"""Tensors by name."""

_POLICY = "policy."


class FeaturesChanged(ValueError):
    """A policy that reads other features than this code makes, or chooses among other operations."""


class CheckpointOutdated(ValueError):
    """A policy of another version of this code, in a file that this one does not read."""


@dataclass(frozen=True)
class TrainingOrigin:
    """What a policy was trained on and with: a run may only be resumed where all of it is the same."""

    seeds_version: str
    """Content hash of the training seeds."""
    pool_version: str
    feature_version: str
    prompt_versions: dict[str, str]
    """Template version by query (an operation's name, or `review`)."""
    instructor: ModelIdentity
    reviewer: ModelIdentity
    guide: ModelIdentity | None = None
    """Where the algorithm asks one."""
    reference_version: str | None = None
    """Content hash of the policy that the training was kept near to; None for the uniform one."""
    base_version: str | None = None
    """Of the language model that reads, before its adapter; None where features are read."""

    def as_dict(self) -> dict[str, Any]:
        """As it is written; earlier versions knew no language model that reads."""
        values = asdict(self)
        if self.base_version is None:
            del values["base_version"]
        return values

    @property
    def operations(self) -> frozenset[str]:
        """Names of the operations that there were, `none` apart: each had its template."""
        return frozenset(self.prompt_versions) - {"review", "guide"}


@dataclass(frozen=True)
class Checkpoint:
    """A policy, all else that its training moves, and where that stands."""

    state: Weights
    """As `Learner.state` gives it; the policy's own weights are those called `policy.<layer>`."""
    config: TrainingConfig
    origin: TrainingOrigin
    curve: tuple[IterationRecord, ...] = ()
    base: str | None = field(default=None, compare=False)
    """Where the student lies that the policy reads with, where its reader's base is the student; not stored."""

    @property
    def policy(self) -> Weights:
        """The weights of the policy network."""
        return {name.removeprefix(_POLICY): array for name, array in self.state.items() if name.startswith(_POLICY)}

    def without_data(self) -> Checkpoint:
        """The same without what it learnt from, which a finished training needs no more."""
        kept = {name: array for name, array in self.state.items() if not name.startswith(LABELLED)}
        return replace(self, state=kept)

    @property
    def iteration(self) -> int:
        """Finished iterations."""
        return len(self.curve)

    @property
    def stopped_early(self) -> bool:
        """Whether training ended before all its iterations because the return got no better."""
        return self.iteration < self.config.iterations and stops_early(self.curve, self.config.patience)

    @property
    def finished(self) -> bool:
        """Whether training has run all its iterations, or stopped early."""
        return self.iteration >= self.config.iterations or self.stopped_early

    @property
    def policy_version(self) -> str:
        """Content hash of the policy's weights, configuration and features."""
        return content_hash(
            "policy", weights_version(self.policy), self.config.model_dump(mode="json"), self.origin.feature_version
        )

    def actor(self, allowed: Collection[Operation] | None = None, donors: Sequence[Instruction] = ()) -> Actor:
        """The policy, ready to act, on `allowed` operations (by default those of its training).

        `donors` are the training seeds, which an ablation that is blind to the text needs.
        Raises FeaturesChanged when it was trained on other operations or features than this code's, or on another
        language model than is there, and what `reader` raises where a model cannot be loaded.
        """
        if changed := changed_operations(self.origin):
            raise FeaturesChanged(
                f"this policy chooses among other operations than this code has ({changed}): train it again, and begin"
                " generations that are to go on with it again (`policy: latest`)"
            )
        encode = reader(self.config, donors, self.base)
        if self.origin.base_version != encode.base_version:
            raise FeaturesChanged(
                f"this policy's adapter belongs to a language model of version {self.origin.base_version}, and the one"
                f" that is there is {encode.base_version}: put the model back that it was trained on, or train it again"
            )
        if self.origin.feature_version != encode.version:
            raise FeaturesChanged(
                f"this policy reads features {self.origin.feature_version}, the code makes {encode.version}: train it"
                " again (`force: true` where its embedding model was changed in place)"
            )
        mask = self.config.allowed
        if allowed is not None:
            mask = mask & np.array([operation in allowed for operation in Operation])
        return encode.actor(self.policy, mask)

    def save(self, path: Path) -> None:
        """Write to `path`, whole or not at all."""
        state = {
            "format": FORMAT,
            "policy_version": self.policy_version,
            "config": self.config.model_dump(mode="json"),
            "origin": self.origin.as_dict(),
            "curve": [asdict(record) for record in self.curve],
        }
        metadata = {"state": json.dumps(state, sort_keys=True, allow_nan=False)}
        write_atomically(path, save(self.state, metadata=metadata))

    @classmethod
    def load(cls, path: Path, base: str | None = None) -> Checkpoint:
        """Read `path`. Raises ValueError when it is not a checkpoint, or its content does not match its version.

        `base` is where the student lies that it reads with, if it does; None: in the folder `BASE` beside the file.
        """
        try:
            with cast(Any, safe_open(path, "numpy")) as file:
                metadata: dict[str, str] = file.metadata() or {}
                state = json.loads(metadata["state"])
                tensors: dict[str, np.ndarray] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is not a policy checkpoint ({error}); delete it and train again") from error
        if state["format"] != FORMAT:
            raise CheckpointOutdated(
                f"{path} has checkpoint format {state['format']}, this code reads {FORMAT}: train the policy again, and"
                " begin generations that are to go on with it again (`policy: latest`)"
            )
        origin = state["origin"]
        models = {role: identity_of(origin[role]) for role in ("instructor", "reviewer", "guide") if origin[role]}
        checkpoint = cls(
            state=tensors,
            config=TrainingConfig.model_validate(state["config"]),
            origin=TrainingOrigin(**(origin | models)),
            curve=tuple(IterationRecord.of(record) for record in state["curve"]),
            base=base or kept_base(path.parent),
        )
        if checkpoint.policy_version != state["policy_version"]:
            raise ValueError(
                f"{path} says policy version {state['policy_version']} and holds {checkpoint.policy_version};"
                " it was changed: delete it and train again"
            )
        return checkpoint


BASE = "base"
"""The folder beside a checkpoint with the student that its policy reads with."""


def kept_base(folder: Path) -> str | None:
    """Where the student lies that is kept with a policy in `folder`; None where none is."""
    return str(folder / BASE) if (folder / BASE).is_dir() else None


def changed_operations(origin: TrainingOrigin) -> str:
    """Operations that were "added since: ..." a policy was trained, or "removed since: ..."; empty where none was."""
    then, now = origin.operations, {operation.value for operation in TEXT_OPERATIONS}
    changes = (("added", now - then), ("removed", then - now))
    return "; ".join(f"{what} since: {', '.join(sorted(names))}" for what, names in changes if names)


def weights_version(weights: Weights) -> str:
    """Content hash of the exact bytes of `weights`."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}{weights[name].shape}{weights[name].dtype.str}".encode())
        digest.update(np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()


CHECKPOINT = "policy.safetensors"
"""The file that a training keeps: the policy after its last finished iteration."""


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


def divide_training(
    train: Mapping[str, Instruction], clusters: Mapping[str, str]
) -> tuple[dict[str, Instruction], dict[str, Instruction]]:
    """The seeds that train a policy, divided: those that settings are tried with, and their validation part.

    Near duplicates are in one part.
    """
    parts: tuple[dict[str, Instruction], dict[str, Instruction]] = {}, {}
    for seed_id, seed in train.items():
        parts[is_policy_validation(clusters[seed_id])][seed_id] = seed
    return parts


def policy_inputs(
    seeds: Artefact,
    training: TrainingConfig,
    model_versions: Mapping[str, str],
    reference_version: str,
    base: str | None = None,
) -> dict[str, str]:
    """What a trained policy is made from, besides its configuration, by name to version.

    Args:
        model_versions: Of the models that are asked.
        reference_version: Of the policy that the training stays near to; empty: the uniform one.
        base: Where the student lies, where the policy reads with it.
    """
    return {
        "seed_instructions": seeds.data_version,
        "prompts": prompts_version(),
        "features": reader(training, base=base).version,
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
    checkpoint: Checkpoint,
    cost: AnswersCost,
    orders: OrderEffect,
    *,
    asking: dict[str, int],
    outcomes: dict[str, dict[str, object]],
) -> PolicyFacts:
    """The facts of a finished training; `asking` and `outcomes` are what its queries came to."""
    first, last = checkpoint.curve[0], checkpoint.curve[-1]
    acted = last.acted
    reward, unknown = checkpoint.config.reward, sum(point.without_tokens for point in checkpoint.curve)
    return PolicyFacts(
        algorithm=checkpoint.config.algorithm.name,
        iterations=checkpoint.iteration,
        stopped_early=checkpoint.stopped_early,
        guidance_queries=sum(point.guidance_queries for point in checkpoint.curve),
        own_steps=last.own.steps if last.own else None,
        fallbacks=sum(point.fallbacks for point in checkpoint.curve),
        cost_nano_usd=cost.nano_usd,
        unpriced=cost.unpriced,
        kl=last.kl,
        entropy=last.entropy,
        explained_variance=last.explained_variance,
        questions=sum(point.queries for point in checkpoint.curve),
        mean_return=acted.mean_return,
        accepted_per_query=acted.accepted_per_query,
        accepted_per_episode=acted.accepted_per_episode,
        reward_variance=first.reward_variance,
        flat_reward=is_flat(first.reward_variance),
        reviews_an_edit=reward.reviews_an_edit,
        soft_reward=reward.soft,
        pairs_in_both_orders=orders.pairs if reward.both_orders else None,
        orders_disagree=orders.disagree,
        order_difference=orders.difference,
        verdicts_without_probability=orders.without_probability if reward.soft else None,
        edits_without_tokens=None if reward.dollars is None else unknown,
        operation_mix=acted.operation_mix,
        instructor=checkpoint.origin.instructor,
        reviewer=checkpoint.origin.reviewer,
        asking=asking,
        outcomes=outcomes,
    )
