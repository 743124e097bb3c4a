"""What a generation will ask, and the answers to it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Purpose, Role
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.dataset.manifests import read_manifest
from teams_dagster.dataset.pair_settings import ONE_ANSWER, PairSettings
from teams_dagster.dataset.playing import generation_policy, generation_seeds
from teams_dagster.dataset.scoring import ratings_later
from teams_dagster.dataset.stored import accepted_of, answers_asked
from teams_dagster.environment.state import HORIZON
from teams_dagster.policy.query_forecast import (
    SAMPLED,
    STEADY,
    UNTRAINED,
    EpisodeStats,
    answering,
    answering_later,
    episodes_of,
    last_stats,
    reviews_of_an_edit,
    rewriting,
    stats_of,
    still_open,
)
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import GenerationFacts, ResponseFacts

KEPT = 0.8
"""Of what episodes accept, the share that comes to stand in the dataset, where none is known yet."""

PASSING = 0.7
"""Of what is kept otherwise, the share that a threshold of scores leaves, where none is known yet."""

LEAST_EPISODES = 10
"""A generation with a target is begun where the budget likely pays so many: from fewer seeds, a side of the split would
likely be empty."""

SLOWEST = 1.5
"""On the way to a target, the most episodes that are expected, as a multiple of the likely ones."""


def generation_questions(
    store: ArtefactStore,
    episodes: int,
    seeds: Collection[Instruction],
    policy: Artefact | None,
    earlier: Artefact | None,
    tried: EpisodeStats | None = None,
    unknown: EpisodeStats = UNTRAINED,
    reviews_an_edit: int | None = None,
) -> list[QueryForecast]:
    """What a generation of so many `episodes` from `seeds` will ask.

    `policy` is None before it is trained, or where none is; then an episode is taken to ask what `unknown` says.
    `tried` is what the preflight of the expert found out, if it was tried. `reviews_an_edit` is how many the policy to
    be trained will need; None: as many as `policy` does.
    """
    stated = last_stats(policy) if policy else unknown
    seen = stats_of_generations(store) or episodes_of(stated, tried)
    reviews = reviews_an_edit or reviews_of_an_edit(policy)
    return rewriting(Role.EXPERT, still_open(earlier, episodes), seeds, seen, stated, reviews_an_edit=reviews)


def begun_generation_questions(
    store: ArtefactStore, manifest: GenerationManifest, earlier: Artefact | None, tried: EpisodeStats | None = None
) -> list[QueryForecast]:
    """What a generation that was begun will ask; where it was made `earlier`, what failed then."""
    seeds, policy = generation_seeds(store, manifest), generation_policy(store, manifest)
    return generation_questions(store, len(seeds), list(seeds.values()), policy, earlier, tried, STEADY)


def target_questions(
    store: ArtefactStore,
    target: int,
    most_episodes: int,
    seeds: Collection[Instruction],
    policy: Artefact | None,
    tried: EpisodeStats | None = None,
    unknown: EpisodeStats = STEADY,
    *,
    there: int = 0,
    reviews_an_edit: int | None = None,
    counted: PairSettings = ONE_ANSWER,
) -> list[QueryForecast]:
    """What a generation will ask on its way to `target` samples, answers included, and ratings where they decide.

    Least is one rewrite, one review, the answers and their ratings for each; likely are the episodes that it takes at
    the yield of generations so far, or at `KEPT` of what their episodes accept; most is `SLOWEST` times that, within
    the ceiling.

    Args:
        store: Holds the generations so far.
        target: Samples that it is to bring.
        most_episodes: Its ceiling.
        seeds: Their texts.
        policy: The trained policy that steers it, where one does and it is there.
        tried: What the preflight of the expert found out, if it was tried.
        unknown: What an episode of a policy that is not there asks.
        there: Of the target, the samples that it has already.
        reviews_an_edit: As in `generation_questions`.
        counted: What a pair has to be to count.
    """
    stated = last_stats(policy) if policy else unknown
    seen = stats_of_generations(store) or episodes_of(stated, tried)
    missing = max(0, target - there)
    accepted = sum(stats.accepted for stats in seen) / len(seen) if seen else stated.accepted
    kept = accepted * kept_share(store, counted)
    likely = min(most_episodes, math.ceil(missing / kept)) if kept else most_episodes
    most = min(most_episodes, math.ceil(SLOWEST * likely))
    reviews = reviews_an_edit or reviews_of_an_edit(policy)
    asked = [
        *rewriting(Role.EXPERT, likely, seeds, seen, stated, most=most, reviews_an_edit=reviews),
        *pairs_later(counted, answering_later(likely, seeds, seen, stated), seeds),
    ]
    return [_towards(kind, missing, most * HORIZON, counted) for kind in asked]


def _towards(kind: QueryForecast, missing: int, most: int, counted: PairSettings) -> QueryForecast:
    """What is `missing` takes at least one query of a kind for each sample, and of those about answers one for each."""
    each = counted.answers if kind.purpose in (Purpose.RESPOND, Purpose.RATE) else 1
    return replace(kind, least=min(each * missing, kind.likely), most=max(kind.most, each * most))


def pairs_later(
    counted: PairSettings, answers: Sequence[QueryForecast], seeds: Collection[Instruction]
) -> list[QueryForecast]:
    """The answers that `counted` asks for where each instruction is given one of `answers`, and their ratings."""
    several = [kind.times(counted.answers) for kind in answers]
    ratings = [ratings_later(kind, list(seeds)) for kind in several] if counted.asks_judge else []
    return [*several, *ratings]


def begun_target_questions(
    store: ArtefactStore, manifest: GenerationManifest, tried: EpisodeStats | None
) -> list[QueryForecast]:
    """What a generation that was begun will ask on its way to its target, less what it has on its way so far."""
    seeds, policy = list(generation_seeds(store, manifest).values()), generation_policy(store, manifest)
    most = manifest.episodes_per_seed * len(seeds)
    there = samples_there(store, manifest)
    return target_questions(
        store, manifest.target_samples or 0, most, seeds, policy, tried, there=there, counted=manifest.counted
    )


def samples_there(store: ArtefactStore, manifest: GenerationManifest) -> int:
    """The samples that a generation had when it was last made, to this target or another.

    0 where others counted then: what of its samples counts now is not known.
    """
    if not store.exists(TRAINED_ARM.instructions, manifest.partition_key):
        return 0
    generated = store.current(TRAINED_ARM.instructions, manifest.partition_key)
    before = read_manifest(generated)
    if before.counted != manifest.counted or not before.same_but_for_target(manifest):
        return 0
    return generated.read_facts(GenerationFacts).curated or 0


def kept_share(store: ArtefactStore, counted: PairSettings) -> float:
    """Of what episodes accept, the share that comes to stand in the dataset, by the latest generation counted alike."""
    for partition in reversed(store.partitions(TRAINED_ARM.instructions)):
        generated = store.current(TRAINED_ARM.instructions, partition)
        facts = generated.read_facts(GenerationFacts)
        if facts.curated and facts.accepted and read_manifest(generated).counted == counted:
            return facts.curated / facts.accepted
    return KEPT * PASSING if counted.min_score else KEPT


def episodes_asked(
    store: ArtefactStore, manifest: GenerationManifest, episodes: int, tried: EpisodeStats | None
) -> list[QueryForecast]:
    """What so many episodes of a generation likely ask, their answers included."""
    seeds, policy = list(generation_seeds(store, manifest).values()), generation_policy(store, manifest)
    stated = last_stats(policy) if policy else STEADY
    seen = stats_of_generations(store) or episodes_of(stated, tried)
    return [
        *rewriting(Role.EXPERT, episodes, seeds, seen, stated, reviews_an_edit=reviews_of_an_edit(policy)),
        *pairs_later(manifest.counted, answering_later(episodes, seeds, seen, stated), seeds),
    ]


def answers_to_come(store: ArtefactStore, manifest: GenerationManifest) -> list[QueryForecast]:
    """What answering a generation will likely ask when it was played."""
    seeds, policy = generation_seeds(store, manifest), generation_policy(store, manifest)
    stated = last_stats(policy) if policy else STEADY
    return answering_later(len(seeds), list(seeds.values()), stats_of_generations(store), stated)


def stats_of_generations(store: ArtefactStore, key: str = TRAINED_ARM.instructions) -> list[EpisodeStats]:
    """What the episodes of an arm's generations so far asked."""
    return stats_of(store.current(key, partition) for partition in store.partitions(key))


def response_questions(generated: Artefact, earlier: Artefact | None, answers: int = 1) -> list[QueryForecast]:
    """What answering a generation will ask: `answers` to each accepted instruction, less those answered `earlier`.

    Those of a generation with a target were asked for as it was played.
    """
    facts = generated.read_facts(GenerationFacts)
    before = 0 if facts.target_samples is None else read_manifest(generated).counted.answers
    if earlier is not None:
        before = max(before, answers_asked(earlier))
    unanswered = 0 if earlier is None else earlier.read_facts(ResponseFacts).unanswered
    count = max(0, answers - before) * facts.accepted + min(unanswered, answers * facts.accepted)
    sample = [accepted.instruction for accepted in islice(accepted_of(generated), SAMPLED)]
    return answering(count, count, count, sample)
