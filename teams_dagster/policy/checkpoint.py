"""A policy on disk: one safetensors file that holds all of a training run's state, replaced atomically.

TRPO and L-BFGS start afresh at each update and every random stream is keyed, so weights, configuration and the number
of finished iterations are the whole state: a resumed run continues bit for bit. Reading needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from teams_dagster.completions.protocol import ModelIdentity
from teams_dagster.policy.actor import PolicyActor
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.features import FEATURE_VERSION
from teams_dagster.streams import content_hash

FORMAT = 1
"""Raised when the file's layout changes."""


class FeaturesChanged(ValueError):
    """A policy that reads other features than this code makes."""


@dataclass(frozen=True)
class TrainingOrigin:
    """What a policy was trained on and with: a run may only be resumed where all of it is the same."""

    seeds_version: str
    """Content hash of the training seeds."""
    pool_version: str
    feature_version: str
    prompt_versions: dict[str, str]
    """Template version by question (an operation's name, or `review`)."""
    instructor: ModelIdentity
    reviewer: ModelIdentity


@dataclass(frozen=True)
class IterationRecord:
    """One point of the learning curve: the batch that the policy of this iteration met, and the update made of it."""

    iteration: int
    policy_version: str
    """The policy that acted, before the update."""
    episodes: int
    truncated: int
    queries: int
    mean_return: float
    accepted_per_query: float
    accepted_per_episode: float
    reward_variance: float
    unclear: int
    operation_mix: dict[str, float]
    """Share of each operation among the batch's transitions."""
    eliminated: dict[str, int]
    entropy: float
    """Mean entropy of the acting policy, in nats."""
    explained_variance: float
    """Of the critic that gave the advantages, before its fit."""
    critic_loss: float
    update: str
    """What became of the policy update (`trpo.UpdateStatus`)."""
    kl: float
    improvement: float
    step_size: float


@dataclass(frozen=True)
class Checkpoint:
    """A policy, its critic, and where its training stands."""

    policy: dict[str, np.ndarray]
    critic: dict[str, np.ndarray]
    config: TrainingConfig
    origin: TrainingOrigin
    curve: tuple[IterationRecord, ...] = ()

    @property
    def iteration(self) -> int:
        """Finished iterations."""
        return len(self.curve)

    @property
    def finished(self) -> bool:
        """Whether training has run all its iterations."""
        return self.iteration >= self.config.iterations

    @property
    def policy_version(self) -> str:
        """Content hash of the policy's weights, configuration and features."""
        return policy_version(self.policy, self.config)

    def actor(self) -> PolicyActor:
        """The policy, ready to act. Raises FeaturesChanged when it was trained on other features than this code's."""
        if self.origin.feature_version != FEATURE_VERSION:
            raise FeaturesChanged(
                f"this policy reads features {self.origin.feature_version}, the code makes {FEATURE_VERSION};"
                " train it again"
            )
        return PolicyActor(self.policy, self.config.allowed)

    def save(self, path: Path) -> None:
        """Write to `path`, whole or not at all."""
        tensors = {f"policy.{name}": array for name, array in self.policy.items()}
        tensors |= {f"critic.{name}": array for name, array in self.critic.items()}
        state = {
            "format": FORMAT,
            "policy_version": self.policy_version,
            "config": self.config.model_dump(mode="json"),
            "origin": asdict(self.origin),
            "curve": [asdict(record) for record in self.curve],
        }
        _write_atomically(path, save(tensors, metadata={"state": json.dumps(state, sort_keys=True, allow_nan=False)}))

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read `path`. Raises ValueError when it is not a checkpoint, or its content does not match its version."""
        try:
            with safe_open(path, "numpy") as file:
                state = json.loads((file.metadata() or {})["state"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is not a policy checkpoint ({error}); delete it and train again") from error
        if state["format"] != FORMAT:
            raise ValueError(f"{path} has checkpoint format {state['format']}, this code reads {FORMAT}; train again")
        origin = state["origin"]
        models = {role: ModelIdentity(**origin[role]) for role in ("instructor", "reviewer")}
        checkpoint = cls(
            policy=_part(tensors, "policy."),
            critic=_part(tensors, "critic."),
            config=TrainingConfig.model_validate(state["config"]),
            origin=TrainingOrigin(**(origin | models)),
            curve=tuple(IterationRecord(**record) for record in state["curve"]),
        )
        if checkpoint.policy_version != state["policy_version"]:
            raise ValueError(
                f"{path} says policy version {state['policy_version']} and holds {checkpoint.policy_version};"
                " it was changed: delete it and train again"
            )
        return checkpoint


def policy_version(weights: dict[str, np.ndarray], config: TrainingConfig) -> str:
    """Content hash of a policy: the exact bytes of its weights, its configuration, the features it reads."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}{weights[name].shape}{weights[name].dtype.str}".encode())
        digest.update(np.ascontiguousarray(weights[name]).tobytes())
    return content_hash("policy", digest.hexdigest(), config.model_dump(mode="json"), FEATURE_VERSION)


def _part(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}


def _write_atomically(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
