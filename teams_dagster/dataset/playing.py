"""A generation: its world, its episodes, and what came of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Asker, Role
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.environment.episodes import EpisodePlan
from teams_dagster.environment.state import EpisodeKey, EpisodePurpose
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.instructions.stored_seeds import read_seeds
from teams_dagster.policy.checkpoint import Checkpoint
from teams_dagster.policy.query_forecast import ASKING, asking_of
from teams_dagster.policy.stored import load_policy, policy_seeds
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft
from teams_dagster.store.facts.base import UNANSWERED

FAILED = "failed"
"""The cause of a transition whose question got no answer."""


def generation_inputs(manifest: GenerationManifest) -> dict[str, str]:
    """What a generation is made from."""
    return {"generation": manifest.version}


def generation_policy(store: ArtefactStore, manifest: GenerationManifest) -> Artefact:
    """The policy that steers a generation."""
    return store.of_version("trained_policy", manifest.policy_version)


def generation_seeds(store: ArtefactStore, manifest: GenerationManifest) -> dict[str, Instruction]:
    """The seeds of a generation by id, in the manifest's order."""
    library = store.of_version("seed_instructions", manifest.seeds_version)
    texts = {seed.seed_id: seed.instruction for seed in read_seeds(library)}
    return {seed_id: texts[seed_id] for seed_id, _ in manifest.replicas}


def generation_world(
    store: ArtefactStore, manifest: GenerationManifest, asker: Asker
) -> tuple[Environment, Checkpoint, dict[str, Instruction]]:
    """What a generation happens in: its environment with `asker`, its policy, and its seeds' texts by id."""
    policy = generation_policy(store, manifest)
    checkpoint = load_policy(policy)
    pool, _ = policy_seeds(store.of_version("seed_instructions", policy.manifest["inputs"]["seed_instructions"]))
    environment = Environment(asker, Pool(pool.values()), checkpoint.config.reward, Role.EXPERT)
    return environment, checkpoint, generation_seeds(store, manifest)


def episode_plans(manifest: GenerationManifest, seeds: dict[str, Instruction]) -> Iterator[EpisodePlan]:
    """One episode from each seed of the generation, in the manifest's order."""
    for seed_id, replica in manifest.replicas:
        key = EpisodeKey(
            root_seed=manifest.root_seed,
            purpose=EpisodePurpose.GENERATE,
            policy=TRAINED_ARM.policy,
            policy_version=manifest.policy_version,
            seed_id=seed_id,
            partition_key=manifest.partition_key,
            replica=replica,
        )
        yield EpisodePlan(key, seeds[seed_id])


def _generation_row(manifest: GenerationManifest, run_id: str) -> dict[str, object]:
    return {
        "generation_version": manifest.version,
        "partition_key": manifest.partition_key,
        "policy_version": manifest.policy_version,
        "seeds_version": manifest.seeds_version,
        "seeds": len(manifest.replicas),
        "root_seed": manifest.root_seed,
        "fresh": manifest.fresh,
        "manifest": manifest.to_json(),
        "run_id": run_id,
    }


def _count(draft: Draft) -> dict[str, Any]:
    columns = ["operation", "accepted", "eliminated_by", "verdict", "failure", "queries"]
    rows = pq.read_table(draft.folder / "transitions.parquet", columns=columns)
    operations: dict[str, dict[str, int]] = {}
    causes: dict[str, int] = {}
    for row in rows.to_pylist():
        counts = operations.setdefault(row["operation"], {"chosen": 0, "accepted": 0})
        counts["chosen"] += 1
        counts["accepted"] += row["accepted"]
        if not row["accepted"]:
            cause = _cause(row)
            causes[cause] = causes.get(cause, 0) + 1
    return {
        "transitions": rows.num_rows,
        "accepted": sum(counts["accepted"] for counts in operations.values()),
        "questions": sum(rows["queries"].to_pylist()),
        "operations": operations,
        "not_accepted": causes,
        UNANSWERED: causes.get(FAILED, 0),
        ASKING: asking_of(draft.folder / "transitions.parquet"),
    }


def _cause(row: dict[str, str]) -> str:
    """Why a transition was not accepted."""
    if row["operation"] == "none":
        return "none"
    if row["failure"]:
        return FAILED
    return row["eliminated_by"] or row["verdict"]


def failures_of(generated: Artefact) -> dict[str, int]:
    """How many transitions failed, by which question and the kind of error."""
    failures = pq.read_table(generated.path("transitions.parquet"), columns=["failure"])["failure"].drop_null()
    return dict(Counter(" ".join([FAILED, *failure.split(": ")[:2]]) for failure in failures.to_pylist()))
