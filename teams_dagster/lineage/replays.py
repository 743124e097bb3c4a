"""All that a store holds to be replayed, one after the other; what stands from earlier is not repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from teams_dagster.dataset.manifests import generated_for
from teams_dagster.dataset.scoring import scores_input, scores_of
from teams_dagster.ledger.writer import Ledger
from teams_dagster.lineage.kept_replays import KeptReplay, Seals, replaying_code, sealed_manifests
from teams_dagster.lineage.replay_generation import outputs_read, replay_generation
from teams_dagster.lineage.replay_scores import replay_scores
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.hash_chain import head, read_links
from teams_dagster.store.integrity import Verification

Say = Callable[[str], None]


@dataclass(frozen=True)
class Replay:
    """What is replayed as a whole: a generation with its answers, or the scores of its pairs."""

    name: str
    outputs: Sequence[Artefact]
    """What it reads of the store, first of all what it is of."""
    run: Callable[[Ledger, Verification, Say], Coroutine[Any, Any, None]]
    """Replays it; rows are counted in the verification."""

    @property
    def version(self) -> str:
        """That of what it is of."""
        return self.outputs[0].data_version


@dataclass(frozen=True)
class Replayed:
    """What came of replaying everything."""

    kept: Mapping[str, KeptReplay]
    """Each replay by its name, those that stand from earlier included. One that found a difference is left out."""
    now: int
    """How many were replayed now."""
    found: Verification
    """Of all of them."""


def replays_of(store: ArtefactStore, generations: Sequence[Artefact]) -> list[Replay]:
    """Every generation by the artefact of its answers, then the scores of those that have some."""
    scored = [(responses, scores) for responses in generations if (scores := scores_of(store, responses)) is not None]
    return [
        *(_of_generation(store, responses) for responses in generations),
        *(_of_scores(responses, scores) for responses, scores in scored),
    ]


def replay_all(
    store: ArtefactStore,
    ledger: Ledger,
    replays: Sequence[Replay],
    earlier: Mapping[str, KeptReplay],
    *,
    progress: Say,
) -> Replayed:
    """Replay those of `replays` that do not stand, and count the rows of all.

    `earlier` are recorded replays by their names. Everything stored must have been compared with its hashes and the
    chain before: what stands is trusted for it.
    """
    with ledger.engine.connect() as connection:
        before, seals = head(connection), Seals(read_links(connection))
    code, found, kept, now = replaying_code(), Verification(), dict[str, KeptReplay](), 0
    for replay in replays:
        outputs = sealed_manifests(store, replay.outputs)
        done = earlier.get(replay.name)
        if done is None or not seals.hold(done, outputs, code):
            now += 1
            began, own = datetime.now(UTC).isoformat(timespec="seconds"), Verification()
            asyncio.run(replay.run(ledger, own, progress))
            done = KeptReplay(outputs, code, before, began, own.verified, own.not_verified)
            found.add(own)
            if own.differing:
                continue
        else:
            found.add(Verification(verified=done.verified, not_verified=dict(done.not_verified)))
        kept[replay.name] = done
    return Replayed(kept, now, found)


def _of_generation(store: ArtefactStore, responses: Artefact) -> Replay:
    generated = generated_for(store, responses)

    async def run(ledger: Ledger, into: Verification, progress: Say) -> None:
        await replay_generation(store, ledger, generated, responses, into, progress=progress)

    return Replay(responses.manifest["partition_key"], outputs_read(store, generated, responses), run)


def _of_scores(responses: Artefact, scores: Artefact) -> Replay:
    async def run(ledger: Ledger, into: Verification, progress: Say) -> None:
        await replay_scores(ledger, responses, scores, into)

    return Replay(scores_input(scores.manifest["partition_key"]), [scores, responses], run)
