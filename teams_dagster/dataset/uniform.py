"""A generation of the uniform arm: the seeds of the trained policy's generation, and as many queries."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace
from itertools import count

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import LLMClient, Role
from teams_dagster.dataset.arms import UNIFORM_ARM
from teams_dagster.dataset.generation import ROUND_STRIDE, GenerationManifest
from teams_dagster.dataset.manifests import read_manifest
from teams_dagster.dataset.playing import Playing, generation_reward, generation_seeds, generation_world
from teams_dagster.dataset.query_forecast import stats_of_generations
from teams_dagster.environment.episodes import EpisodePlan
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import HORIZON, Episode, EpisodeKey, EpisodePurpose
from teams_dagster.policy.baselines import UNIFORM, Uniform, baseline_version
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

    @property
    def manifest(self) -> GenerationManifest:
        """The same but for the policy."""
        return replace(self.trained, policy_version=baseline_version(UNIFORM))

    @property
    def inputs(self) -> dict[str, str]:
        """What the uniform generation is made from."""
        return {
            "generation": self.trained.version,
            "policy": self.manifest.policy_version,
            "questions": str(self.questions),
        }


def generation_beside(store: ArtefactStore, partition: str) -> Beside:
    """The trained policy's generation of a week. Raises ArtefactMissing where it was not made yet."""
    if not store.exists("generated_instructions", partition):
        raise ArtefactMissing(
            f"generation {partition} of the trained policy does not exist in {store.root}, and the uniform arm asks as"
            f" many queries as that asked: materialise generated_instructions for {partition} first (job regenerate)"
        )
    generated = store.current("generated_instructions", partition)
    return Beside(read_manifest(generated), generated.read_facts(GenerationFacts).questions)


def uniform_playing(store: ArtefactStore, beside: Beside) -> Playing:
    """The uniform arm's generation: rounds over the same seeds, until as many queries are asked."""

    def episodes(client: LLMClient, width: int) -> AsyncGenerator[Episode]:
        environment, _, seeds = generation_world(store, beside.trained, client)
        plans = uniform_plans(beside.manifest, seeds)
        return play_until_asked(environment, Uniform(), plans, beside.questions, open_episodes=width)

    stats = stats_of_generations(store, UNIFORM_ARM.instructions)
    total = uniform_episodes(beside, stats, generation_reward(store, beside.trained))
    return Playing(beside.manifest, episodes, total, "episodes")


def uniform_plans(manifest: GenerationManifest, seeds: dict[str, Instruction]) -> Iterator[EpisodePlan]:
    """Rounds of one episode from each seed, without end: a further one asks for other answers."""
    for number in count():
        for seed_id, replica in manifest.replicas:
            key = EpisodeKey(
                root_seed=manifest.root_seed,
                purpose=EpisodePurpose.GENERATE,
                policy=UNIFORM_ARM.policy,
                policy_version=manifest.policy_version,
                seed_id=seed_id,
                episode=number,
                partition_key=manifest.partition_key,
                replica=replica + number * ROUND_STRIDE,
            )
            yield EpisodePlan(key, seeds[seed_id])


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
