"""What a generation will ask, and the answers to it."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.dataset.playing import generation_policy, generation_seeds
from teams_dagster.dataset.stored import accepted_of
from teams_dagster.policy.query_forecast import (
    SAMPLED,
    STEADY,
    UNTRAINED,
    EpisodeStats,
    answering,
    answering_later,
    episodes_of,
    last_stats,
    rewriting,
    stats_of,
    still_open,
)
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import GenerationFacts


def generation_questions(
    store: ArtefactStore,
    episodes: int,
    seeds: Collection[Instruction],
    policy: Artefact | None,
    earlier: Artefact | None,
    tried: EpisodeStats | None = None,
    unknown: EpisodeStats = UNTRAINED,
) -> list[QueryForecast]:
    """What a generation of so many `episodes` from `seeds` will ask.

    `policy` is None before it is trained, or where none is; then an episode is taken to ask what `unknown` says.
    `tried` is what the preflight of the expert found out, if it was tried.
    """
    stated = last_stats(policy) if policy else unknown
    seen = stats_of_generations(store) or episodes_of(stated, tried)
    return rewriting(Role.EXPERT, still_open(earlier, episodes), seeds, seen, stated)


def begun_generation_questions(
    store: ArtefactStore, manifest: GenerationManifest, earlier: Artefact | None, tried: EpisodeStats | None = None
) -> list[QueryForecast]:
    """What a generation that was begun will ask; where it was made `earlier`, what failed then."""
    seeds, policy = generation_seeds(store, manifest), generation_policy(store, manifest)
    return generation_questions(store, len(seeds), list(seeds.values()), policy, earlier, tried, STEADY)


def answers_to_come(store: ArtefactStore, manifest: GenerationManifest) -> list[QueryForecast]:
    """What answering a generation will likely ask when it was played."""
    seeds, policy = generation_seeds(store, manifest), generation_policy(store, manifest)
    stated = last_stats(policy) if policy else STEADY
    return answering_later(len(seeds), list(seeds.values()), stats_of_generations(store), stated)


def stats_of_generations(store: ArtefactStore, key: str = TRAINED_ARM.instructions) -> list[EpisodeStats]:
    """What the episodes of an arm's generations so far asked."""
    return stats_of(store.current(key, partition) for partition in store.partitions(key))


def response_questions(generated: Artefact, earlier: Artefact | None, answers: int = 1) -> list[QueryForecast]:
    """What answering a generation will ask: `answers` to each accepted instruction, less those answered `earlier`."""
    count = still_open(earlier, answers * generated.read_facts(GenerationFacts).accepted)
    sample = [accepted.instruction for accepted in islice(accepted_of(generated), SAMPLED)]
    return answering(count, count, count, sample)
