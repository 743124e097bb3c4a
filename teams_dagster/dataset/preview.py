"""A few seeds of a generation, played and answered before it is begun: what it would be like, for a few queries.

The seeds, the draws and the replicas are those that the generation will have, so it reuses what was asked here. Nothing
is written but the queries on the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.answers import Answering, answer_transitions
from teams_dagster.dataset.generation import GenerationManifest, drawn_order
from teams_dagster.dataset.manifests import GenerationSettings, Identities, kept_manifest, manifest_to_begin
from teams_dagster.dataset.playing import (
    episode_plans,
    generation_actor,
    generation_environment,
    generation_reward,
    generation_seeds,
)
from teams_dagster.dataset.sample import Accepted, Sample, accepted_in
from teams_dagster.dataset.steering import TRAINED, trained_policy_named
from teams_dagster.environment.episodes import run_episodes
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import Episode
from teams_dagster.instructions.seeds import Seed
from teams_dagster.ledger.budgets import BudgetExhausted
from teams_dagster.llm.engine import Engine
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.transition_row import EDIT_ANSWERS

ANSWERS_PER_SEED = 3
"""Answers that a preview has room for, of each seed, when its episode asks all that it may."""

AT_ONCE = 16


@dataclass(frozen=True)
class Planned:
    """What a preview plays."""

    manifest: GenerationManifest
    """The generation's, as it was begun or would be, with the seeds that are looked at."""
    seeds: Mapping[str, Instruction]
    library: Sequence[Seed]
    """All seeds of the file."""
    begun: bool
    """Whether the generation was begun already."""
    reward: RewardConfig
    """That of the policy, which says how often an edit is reviewed."""

    @property
    def most_queries(self) -> int:
        """What the preview may ask: all episodes' rewrites and reviews, and a few answers."""
        return (self.reward.queries_an_episode + ANSWERS_PER_SEED) * len(self.seeds)


@dataclass(frozen=True)
class Previewed:
    """What a seed became."""

    seed: Instruction
    episode: Episode
    samples: Mapping[str, Sample]
    """By transition, the answers; an accepted transition without one came too late for the preview's budget."""

    @property
    def request_ids(self) -> set[str]:
        """The attempts that answered its queries."""
        asked = {getattr(step, column) for step in self.episode.recorded for column in EDIT_ANSWERS}
        return {request for request in asked | {s.respond_request_id for s in self.samples.values()} if request}


def plan_preview(
    store: ArtefactStore,
    partition: str,
    settings: GenerationSettings,
    identities: Identities,
    library: Sequence[Seed],
    count: int,
) -> Planned:
    """The first `count` seeds that the generation draws, with what it was begun with, or would be.

    Without a policy named or the latest one wanted, and with none trained, the operations are drawn uniformly. Raises
    ArtefactMissing for a policy that is not there, PolicyFromOtherModels for one that is not for these models.
    """
    manifest = kept_manifest(store, partition, settings, identities)
    begun = manifest is not None
    if manifest is None:
        if settings.policy is None and not settings.latest_policy and not store.exists("trained_policy"):
            settings = replace(settings, policy=UNIFORM)
        policy = trained_policy_named(store, settings.policy or TRAINED)
        ids = [seed.seed_id for seed in library]
        manifest = manifest_to_begin(store, partition, settings, identities, ids, "", policy)
    texts = generation_seeds(store, manifest) if begun else {seed.seed_id: seed.instruction for seed in library}
    replicas = dict(manifest.replicas)
    drawn = drawn_order(replicas, manifest.root_seed, partition)[:count]
    looked_at = replace(
        manifest,
        replicas=tuple((seed_id, replicas[seed_id]) for seed_id in drawn),
        target_samples=None,
        episodes_per_seed=1,
    )
    reward = generation_reward(store, looked_at)
    return Planned(looked_at, {seed_id: texts[seed_id] for seed_id in drawn}, library, begun, reward)


@dataclass(frozen=True)
class Preview:
    """What came of a preview."""

    seeds: Sequence[Previewed]
    ended: str
    """Why no more was answered, where something was not."""


async def play_preview(store: ArtefactStore, planned: Planned, engine: Engine, scope: str) -> Preview:
    """Play an episode from each seed, then have what it accepted answered, the first of each seed first.

    Answers end where the preview's queries do, which are the budget of `scope`, or where another budget does. Raises
    BudgetExhausted where not even the episodes can be paid.
    """
    environment, checkpoint = generation_environment(store, planned.manifest, engine, planned.library)
    actor, plans = (
        generation_actor(planned.manifest, checkpoint),
        list(episode_plans(planned.manifest, dict(planned.seeds))),
    )
    episodes = {e.key.seed_id: e for e in await run_episodes(environment, actor, plans)}
    left = planned.most_queries - engine.tallies.asked
    accepted = _by_turns([accepted_in(episodes[plan.key.seed_id]) for plan in plans])[: max(0, left)]
    samples, ended = dict[str, Sample](), f"the preview's {planned.most_queries} queries are used up"
    work = Answering(dict(planned.manifest.replicas), planned.manifest.partition_key)
    answers = answer_transitions(engine, accepted, work, width=AT_ONCE)
    async with aclosing(answers) as answered:
        try:
            async for sample in answered:
                samples[sample.transition_id] = sample
        except BudgetExhausted as stopped:
            if stopped.exhausted.scope != scope:
                ended = str(stopped)
    return Preview([_previewed(plan.seed, episodes[plan.key.seed_id], samples) for plan in plans], ended)


def _by_turns(of_each: Sequence[Sequence[Accepted]]) -> list[Accepted]:
    """The first of each, then the second of each, and so on."""
    longest = max(map(len, of_each), default=0)
    return [found[turn] for turn in range(longest) for found in of_each if turn < len(found)]


def _previewed(seed: Instruction, episode: Episode, samples: Mapping[str, Sample]) -> Previewed:
    own = {t.transition_id: samples[t.transition_id] for t in episode.recorded if t.transition_id in samples}
    return Previewed(seed, episode, own)
