"""What the generations have that the adapters of now were not trained on: whether a retraining would learn anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow.compute as pc
import pyarrow.parquet as pq

from teams_dagster.core.hashing import content_hash
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.manifests import generated_for, read_manifest
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore
from teams_dagster.student.stored import ADAPTERS

KEY = TRAINED_ARM.responses


@dataclass(frozen=True)
class NewSamples:
    """What is new since the adapters were trained; of several adapters, since the one that has seen least."""

    samples: int
    """Kept samples of now that it was not trained on."""
    generations: tuple[str, ...]
    """The generations that they are in."""
    policies: tuple[str, ...]
    """Versions of the policies that steered these, and none that it was trained on."""
    version: str
    """Hash of every generation's answers of now."""

    def __str__(self) -> str:
        if not self.samples:
            return "no generation has a kept sample that the adapters were not trained on"
        steered = f", by policy {', '.join(version[:8] for version in self.policies)}" if self.policies else ""
        return f"{self.samples:,} kept samples are new since the adapters were trained ({self._where}{steered})"

    @property
    def _where(self) -> str:
        if len(self.generations) == 1:
            return f"generation {self.generations[0]}"
        return f"{len(self.generations)} generations, the last {self.generations[-1]}"


def new_samples(store: ArtefactStore) -> NewSamples:
    """Compare the answers of every generation, as they are now, with those that the adapters were trained on.

    Only contents are compared: what was made again with the same content is not new. Answers of an earlier version that
    are gone count as never trained on.
    """
    answers = {partition: store.current(KEY, partition) for partition in store.partitions(KEY)}
    version = content_hash("answers", {partition: found.data_version for partition, found in answers.items()})
    seen = [_trained_on(store, f"{name}_model") for name in ADAPTERS if store.exists(f"{name}_model")]
    found = [_since(store, answers, trained_on, version) for trained_on in seen or [{}]]
    return max(found, key=lambda news: news.samples)


def _trained_on(store: ArtefactStore, adapter: str) -> dict[str, str]:
    """By partition, the version of the answers that the adapter's dataset was made from; nothing where it is gone."""
    try:
        dataset = store.of_version(TRAINED_ARM.dataset, store.current(adapter).manifest["inputs"][TRAINED_ARM.dataset])
    except ArtefactMissing:
        return {}
    prefix = f"{KEY} "
    inputs: Mapping[str, str] = dataset.manifest["inputs"]
    return {name.removeprefix(prefix): seen for name, seen in inputs.items() if name.startswith(prefix)}


def _since(
    store: ArtefactStore, answers: Mapping[str, Artefact], trained_on: Mapping[str, str], version: str
) -> NewSamples:
    """What `answers` have that the versions in `trained_on` do not."""
    known: dict[str, Artefact] = {}
    for partition, seen in trained_on.items():
        try:
            known[partition] = store.of_version(KEY, seen, partition)
        except ArtefactMissing:
            continue
    counted = {
        partition: len(_kept(found) - (_kept(known[partition]) if partition in known else set()))
        for partition, found in answers.items()
        if found.data_version != trained_on.get(partition)
    }
    fresh = tuple(partition for partition, count in sorted(counted.items()) if count)
    learnt_from = {_policy(store, responses) for responses in known.values()}
    policies = dict.fromkeys(_policy(store, answers[partition]) for partition in fresh)
    return NewSamples(
        samples=sum(counted.values()),
        generations=fresh,
        policies=tuple(policy for policy in policies if policy not in learnt_from),
        version=version,
    )


def _kept(responses: Artefact) -> set[str]:
    """The ids of the kept samples."""
    table = pq.read_table(responses.path("samples.parquet"), columns=["sample_id", "accepted"])
    return set(table.filter(pc.field("accepted"))["sample_id"].to_pylist())


def _policy(store: ArtefactStore, responses: Artefact) -> str:
    return read_manifest(generated_for(store, responses)).policy_version
