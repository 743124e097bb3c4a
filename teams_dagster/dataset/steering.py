"""Who chooses the operations of a generation: a policy trained here or elsewhere, or one without training."""

from __future__ import annotations

import os
from pathlib import Path

from teams_dagster.environment.decisions import Actor
from teams_dagster.policy.baselines import ROUND_ROBIN, UNIFORM, RoundRobin, Uniform, baseline_version
from teams_dagster.policy.exchange import exported_version, import_policy
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore

TRAINED = "trained"
"""The current output of `trained_policy`."""

UNTRAINED_POLICIES: dict[str, Actor] = {UNIFORM: Uniform(), ROUND_ROBIN: RoundRobin()}
"""Policies that need no training, by name."""

UNTRAINED_VERSIONS = {baseline_version(name) for name in UNTRAINED_POLICIES}

LEAST_PREFIX = 6
"""Characters of a policy's version that are enough to name it."""


def untrained_name(policy_version: str) -> str | None:
    """The name of the policy that needs no training and has this version; None for a trained one."""
    return next((name for name in UNTRAINED_POLICIES if baseline_version(name) == policy_version), None)


def policy_title(policy_version: str) -> str:
    """A policy for people: `uniform`, or the version of one that was trained."""
    return untrained_name(policy_version) or policy_version


FORCED = "_forced"
"""How column `policy` of table `transitions` ends where the paper's schedule was forced on it."""


def transition_policy(policy_version: str, *, forced: bool = False) -> str:
    """What column `policy` of table `transitions` says; the uniform arm, beside the main line, is called `uniform`."""
    name = untrained_name(policy_version)
    return (f"{name}_baseline" if name else TRAINED) + (FORCED if forced else "")


def is_folder(wanted: str) -> bool:
    """Whether a policy is named by the folder that it was exported to."""
    return os.sep in wanted or wanted.startswith((".", "~"))


def steers(policy_version: str, wanted: str) -> bool:
    """Whether the policy of this version is the one that is `wanted` by its name, version or folder."""
    if wanted == TRAINED:
        return untrained_name(policy_version) is None
    if wanted in UNTRAINED_POLICIES:
        return policy_version == baseline_version(wanted)
    if is_folder(wanted):
        return policy_version == exported_version(Path(wanted).expanduser())
    return len(wanted) >= LEAST_PREFIX and policy_version.startswith(wanted)


def trained_policy_named(store: ArtefactStore, wanted: str) -> Artefact | None:
    """The trained policy that is `wanted`, brought into the store where it is a folder; None for one without training.

    Raises ArtefactMissing for one that the store does not have, and PolicyFolderDamaged.
    """
    if wanted in UNTRAINED_POLICIES:
        return None
    if wanted == TRAINED:
        if not store.exists("trained_policy"):
            raise ArtefactMissing(
                f"no policy was trained in {store.root}: train one (job train_policy), or name in `policy` one that"
                f" needs no training ({', '.join(UNTRAINED_POLICIES)})"
            )
        return store.current("trained_policy")
    if is_folder(wanted):
        return import_policy(store, Path(wanted).expanduser())
    found = [policy for policy in store.all_of("trained_policy") if steers(policy.data_version, wanted)]
    if not found:
        raise ArtefactMissing(
            f"policy: {wanted!r} is the version of no policy in {store.root}: give {TRAINED},"
            f" {', '.join(UNTRAINED_POLICIES)}, {LEAST_PREFIX} characters or more of a version, or the folder that"
            " `teams policy` exported one to (./name)"
        )
    return found[-1]


def policy_known(store: ArtefactStore, wanted: str | None, current: Artefact | None) -> tuple[bool, Artefact | None]:
    """Whether it is known, without writing, who would steer a generation that begins; and the trained policy, if one.

    `current` is the policy that a run would have trained by then, None where that is not known yet. Raises
    ArtefactMissing.
    """
    if wanted is None or wanted == TRAINED:
        return current is not None, current
    if is_folder(wanted):
        version = exported_version(Path(wanted).expanduser())
        there = [policy for policy in store.all_of("trained_policy") if policy.data_version == version]
        return bool(there), there[-1] if there else None
    return True, trained_policy_named(store, wanted)
