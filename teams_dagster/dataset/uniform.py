"""A generation of the uniform arm: the seeds of the trained policy's generation, and as many queries."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.arms import UNIFORM_ARM
from teams_dagster.dataset.generation import ROUND_STRIDE, GenerationManifest, drawn_order
from teams_dagster.dataset.manifests import read_manifest
from teams_dagster.dataset.playing import (
    GenerationWork,
    Playing,
    generation_environment,
    generation_policy,
    generation_reward,
    generation_seeds,
)
from teams_dagster.dataset.query_forecast import stats_of_generations
from teams_dagster.dataset.stored import seeds_played
from teams_dagster.environment.episodes import EpisodePlan, run_episode
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import HORIZON, Episode, EpisodeKey, EpisodePurpose
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.workers import LocalWorker, Worker
from teams_dagster.policy.baselines import UNIFORM, Uniform, baseline_version
from teams_dagster.policy.checkpoint import policy_seeds
from teams_dagster.policy.comparison.playing import play_until_asked
from teams_dagster.policy.query_forecast import STEADY, EpisodeStats, rewriting, still_open
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore
from teams_dagster.store.facts.dataset import GenerationFacts


@dataclass(frozen=True)
class Beside:
    """The trained policy's generation that a uniform one is played beside."""

    trained: GenerationManifest
    questions: int
    """How many it asked: queries of its operations, rewrites and reviews, paid or reused."""

    by_lot: bool = True
    """Whether its seeds are played in an order that was drawn, so that those it can pay for are a fair part of them. A
    generation that was made by an earlier version, in the order of their ids, keeps that order and its answers."""

    @property
    def manifest(self) -> GenerationManifest:
        """The same but for the policy."""
        return replace(self.trained, policy_version=baseline_version(UNIFORM), forced_schedule=False)

    @property
    def inputs(self) -> dict[str, str]:
        """What the uniform generation is made from."""
        return {
            "generation": self.trained.version,
            "policy": self.manifest.policy_version,
            "questions": str(self.questions),
            **({"order of seeds": "by lot"} if self.by_lot else {}),
        }


def generation_beside(store: ArtefactStore, partition: str) -> Beside:
    """The trained policy's generation of a week. Raises ArtefactMissing where it was not made yet."""
    if not store.exists("generated_instructions", partition):
        raise ArtefactMissing(
            f"generation {partition} of the trained policy does not exist in {store.root}, and the uniform arm asks as"
            f" many queries as that asked: materialise generated_instructions for {partition} first (job regenerate)"
        )
    generated = store.current("generated_instructions", partition)
    beside = Beside(read_manifest(generated), generated.read_facts(GenerationFacts).questions)
    by_id = replace(beside, by_lot=False)
    made = [uniform.manifest["inputs"] for uniform in store.all_of(UNIFORM_ARM.instructions, partition)]
    return by_id if by_id.inputs in made and beside.inputs not in made else beside


@asynccontextmanager
async def uniform_worker(
    work: GenerationWork, asking: AbstractAsyncContextManager[Engine]
) -> AsyncGenerator[LocalWorker[EpisodePlan, Episode]]:
    """Plays uniform episodes in the world of a generation of the trained policy."""
    async with asking as engine:
        environment, _ = generation_environment(work.store, work.manifest, engine)
        yield LocalWorker(partial(run_episode, environment, Uniform()), engine.tallies)


def uniform_playing(store: ArtefactStore, beside: Beside) -> Playing[Worker[EpisodePlan, Episode]]:
    """The uniform arm's generation: rounds over the same seeds, played by `uniform_worker`, until as many queries are
    asked."""
    reward = generation_reward(store, beside.trained)

    def episodes(worker: Worker[EpisodePlan, Episode], width: int) -> AsyncGenerator[Episode]:
        plans = uniform_plans(beside, generation_seeds(store, beside.trained))
        each = reward.queries_an_episode
        return play_until_asked(worker.call, plans, beside.questions, each, open_episodes=width)

    stats = stats_of_generations(store, UNIFORM_ARM.instructions)
    return Playing(beside.manifest, episodes, uniform_episodes(beside, stats, reward), "episodes")


def uniform_plans(beside: Beside, seeds: dict[str, Instruction]) -> Iterator[EpisodePlan]:
    """Rounds of one episode from each seed, without end: a further one asks for other answers.

    Queries may run out before the first round ends: in the order in which the seeds were drawn, which depends neither
    on their ids nor on the policy beside, those that are played are a fair part of them.
    """
    manifest, replicas = beside.manifest, dict(beside.manifest.replicas)
    ids = drawn_order(replicas, manifest.root_seed, manifest.partition_key) if beside.by_lot else list(replicas)
    for number in count():
        for seed_id in ids:
            key = EpisodeKey(
                root_seed=manifest.root_seed,
                purpose=EpisodePurpose.GENERATE,
                policy=UNIFORM_ARM.policy,
                policy_version=manifest.policy_version,
                seed_id=seed_id,
                episode=number,
                partition_key=manifest.partition_key,
                replica=replicas[seed_id] + number * ROUND_STRIDE,
            )
            yield EpisodePlan(key, seeds[seed_id])


def trained_on(store: ArtefactStore, manifest: GenerationManifest) -> set[str]:
    """The seeds that the policy of a generation was trained on; none where it needed no training."""
    policy = generation_policy(store, manifest)
    library = policy.manifest["inputs"].get("seed_instructions") if policy else None
    return set(policy_seeds(store.of_version("seed_instructions", library))[0]) if library else set()


def seeds_line(store: ArtefactStore, uniform_generation: Artefact, trained_generation: Artefact) -> str:
    """How many seeds either arm played, and how many of them the policy was trained on."""
    known = trained_on(store, read_manifest(trained_generation))
    ours, theirs = seeds_played(uniform_generation), seeds_played(trained_generation)
    return (
        f"uniform played {len(ours)} seeds, {len(ours & known)} of which trained the policy, and the policy"
        f" {len(theirs)}, {len(theirs & known)} of which trained it"
    )


def uniform_questions(store: ArtefactStore, beside: Beside, earlier: Artefact | None) -> list[QueryForecast]:
    """What a uniform generation will ask: no more than its allowance, and one episode's that is cut short."""
    seeds, stats = generation_seeds(store, beside.trained), stats_of_generations(store, UNIFORM_ARM.instructions)
    reward = generation_reward(store, beside.trained)
    episodes = still_open(earlier, uniform_episodes(beside, stats, reward))
    reviews = reward.reviews_an_edit * (beside.questions + reward.queries_an_episode) // reward.queries_an_edit
    most = {Role.EXPERT: beside.questions + HORIZON, Role.REVIEWER: reviews}
    found = rewriting(Role.EXPERT, episodes, seeds.values(), stats, STEADY, reviews_an_edit=reward.reviews_an_edit)
    return [_at_most(expected, most[expected.role]) for expected in found]


def uniform_episodes(beside: Beside, stats: list[EpisodeStats], reward: RewardConfig) -> int:
    """How many episodes use its queries up, likely."""
    asked = [one.rewrites + reward.reviews_an_edit * one.reviews for one in stats or [STEADY]]
    return math.ceil(beside.questions * len(asked) / sum(asked))


def _at_most(expected: QueryForecast, most: int) -> QueryForecast:
    """With a generation's own bound: its episodes may be more than those expected, its queries not."""
    return replace(expected, least=min(expected.least, most), likely=min(expected.likely, most), most=most)
