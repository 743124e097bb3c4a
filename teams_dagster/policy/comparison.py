"""The trained policy against baselines on seeds it never met, with paired intervals.

All policies meet the same answers (replica 0) and the same draws. The intervals come from a bootstrap that resamples
evaluation seeds, and training seeds too where there are several (crossed), with the same resamples for every policy,
so that a difference or a ratio is paired.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.environment.episodes import Actor, EpisodePlan, run_episodes
from teams_dagster.environment.state import Episode, EpisodeKey, EpisodePurpose
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.policy.baselines import UNIFORM, baseline_version, baselines, is_deterministic
from teams_dagster.policy.rollouts import Tally, is_flat, tally
from teams_dagster.streams import generator

_log = logging.getLogger(__name__)

METRICS = ("return", "accepted_per_query", "accepted_per_episode")
"""Measured for every policy, then against uniform as `<metric>_minus_uniform` and `<metric>_over_uniform`."""


class ComparisonConfig(BaseModel):
    """How policies are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")
    episodes_per_seed: int = Field(
        default=4, ge=1, description="Episodes from each seed; one for a policy that draws nothing."
    )
    resamples: int = Field(default=2_000, ge=200, description="Bootstrap resamples.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Coverage of the intervals.")


@dataclass(frozen=True)
class Contender:
    """A policy that is compared: one actor per training seed (baselines have one)."""

    name: str
    actors: tuple[Actor, ...]
    versions: tuple[str, ...]
    """Policy version of each actor; the first is the deployed one, never the best."""
    deterministic: bool = False
    """Its episodes from one seed are all alike, so one is enough."""


def contenders(trained: Sequence[tuple[Actor, str]], names: Collection[str] | None = None) -> list[Contender]:
    """`trained` (an actor and its version per training seed), then the baselines called `names` (all by default).

    Uniform is always among them. Raises ValueError on a name that is no baseline's.
    """
    known = baselines()
    wanted = set(known) if names is None else {UNIFORM, *names}
    if unknown := wanted - set(known):
        raise ValueError(f"unknown baselines {sorted(unknown)}; choose from {sorted(known)}")
    actors, versions = zip(*trained, strict=True)
    return [Contender("trained", actors, versions)] + [
        Contender(name, (actor,), (baseline_version(name),), is_deterministic(actor))
        for name, actor in known.items()
        if name in wanted
    ]


@dataclass(frozen=True)
class Score:
    """A row of table `policy_scores` (without `run_id`)."""

    policy: str
    metric: str
    mean: float
    ci_low: float
    ci_high: float
    episodes: int
    queries: int
    training_seeds: int
    policy_version: str


@dataclass(frozen=True)
class PerSeed:
    """A contender's results per training seed and evaluation seed, each a mean over episodes: shape (T, N)."""

    returns: np.ndarray
    accepted: np.ndarray
    queries: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """What a comparison found."""

    scores: tuple[Score, ...]
    tallies: dict[str, Tally]
    """Totals by policy, over its training seeds."""
    flat_reward: bool
    """Uniform's edits are all rewarded nearly alike: no policy can show a gain, whatever the intervals say."""
    seed_ids: tuple[str, ...]
    per_seed: dict[str, PerSeed] = field(repr=False)

    def score(self, policy: str, metric: str) -> Score:
        """The score of `policy` in `metric`. Raises KeyError when it was not measured."""
        for score in self.scores:
            if (score.policy, score.metric) == (policy, metric):
                return score
        raise KeyError(f"no score for policy {policy!r} and metric {metric!r}")


Sink = Callable[[str, Sequence[Episode]], None]
"""Receives a contender's name and its episodes; once per training seed."""


async def compare(
    environment: Environment,
    compared: Sequence[Contender],
    seeds: Mapping[str, Instruction],
    config: ComparisonConfig,
    *,
    trained_on: Collection[str],
    sink: Sink | None = None,
    on_episode: Callable[[Episode], object] | None = None,
    progress: Callable[[str], None] = _log.info,
) -> Comparison:
    """Run every contender on `seeds` (by seed id) and score it against uniform, which must be among them.

    `on_episode` hears of each episode as it is done, `progress` of each contender.

    Raises ValueError when a seed was trained on, when there is none, or when uniform is missing.
    """
    if not seeds:
        raise ValueError("there are no held-out seeds to compare policies on; keep some out of training")
    if seen := sorted(set(seeds) & set(trained_on)):
        raise ValueError(f"{len(seen)} comparison seeds were trained on, {seen[0]!r} first; keep them apart")
    if UNIFORM not in {contender.name for contender in compared}:
        raise ValueError(f"{UNIFORM!r} is not among the contenders; scores are measured against it")
    per_seed: dict[str, PerSeed] = {}
    tallies: dict[str, Tally] = {}
    for contender in compared:
        batches = [
            await run_episodes(environment, actor, _plans(contender, version, seeds, config), on_episode=on_episode)
            for actor, version in zip(contender.actors, contender.versions, strict=True)
        ]
        for episodes in batches:
            if sink:
                sink(contender.name, episodes)
        per_seed[contender.name] = _per_seed(batches, sorted(seeds))
        total = tallies[contender.name] = tally([episode for episodes in batches for episode in episodes])
        progress(
            f"{contender.name}: return {total.mean_return:.3f}, accepted per query {total.accepted_per_query:.3f},"
            f" per episode {total.accepted_per_episode:.2f} ({total.queries} queries)"
        )
    flat = is_flat(tallies[UNIFORM].reward_variance)
    if flat:
        progress(f"the reward is flat: its variance under uniform is {tallies[UNIFORM].reward_variance:.4f}")
    scores = _scores(compared, per_seed, tallies, config)
    return Comparison(tuple(scores), tallies, flat, tuple(sorted(seeds)), per_seed)


def _plans(
    contender: Contender, version: str, seeds: Mapping[str, Instruction], config: ComparisonConfig
) -> list[EpisodePlan]:
    count = 1 if contender.deterministic else config.episodes_per_seed
    return [
        EpisodePlan(
            EpisodeKey(
                root_seed=config.root_seed,
                purpose=EpisodePurpose.COMPARE,
                policy=contender.name,
                policy_version=version,
                seed_id=seed_id,
                episode=episode,
            ),
            seed,
        )
        for seed_id, seed in seeds.items()
        for episode in range(count)
    ]


def _per_seed(batches: Sequence[Sequence[Episode]], seed_ids: Sequence[str]) -> PerSeed:
    position = {seed_id: index for index, seed_id in enumerate(seed_ids)}
    sums = np.zeros((3, len(batches), len(seed_ids)))
    counts = np.zeros((len(batches), len(seed_ids)))
    for row, episodes in enumerate(batches):
        for episode in episodes:
            column = position[episode.key.seed_id]
            sums[:, row, column] += (episode.total_reward, episode.accepted, episode.queries)
            counts[row, column] += 1
    returns, accepted, queries = sums / counts
    return PerSeed(returns, accepted, queries)


def _scores(
    compared: Sequence[Contender],
    per_seed: Mapping[str, PerSeed],
    tallies: Mapping[str, Tally],
    config: ComparisonConfig,
) -> list[Score]:
    """Every metric of every contender with its interval, then the same against uniform."""
    training_seeds = max(len(contender.actors) for contender in compared)
    evaluation_seeds = per_seed[UNIFORM].returns.shape[1]
    weights = _resamples(training_seeds, evaluation_seeds, config)
    reference = _measure(per_seed[UNIFORM], *weights)
    tail = 100 * (1 - config.confidence) / 2
    scores = []
    for contender in compared:
        measured = _measure(per_seed[contender.name], *weights)
        samples = {metric: measured[metric] for metric in METRICS}
        if contender.name != UNIFORM:
            for metric in METRICS:
                samples[f"{metric}_minus_uniform"] = measured[metric] - reference[metric]
                if metric != "return" and (reference[metric] > 0).all():
                    samples[f"{metric}_over_uniform"] = measured[metric] / reference[metric]
        total = tallies[contender.name]
        for metric, values in samples.items():
            low, high = np.percentile(values[1:], [tail, 100 - tail])
            scores.append(
                Score(
                    policy=contender.name,
                    metric=metric,
                    mean=float(values[0]),
                    ci_low=float(low),
                    ci_high=float(high),
                    episodes=total.episodes,
                    queries=total.queries,
                    training_seeds=len(contender.actors),
                    policy_version=contender.versions[0],
                )
            )
    return scores


def _resamples(training: int, evaluation: int, config: ComparisonConfig) -> tuple[np.ndarray, np.ndarray]:
    """How often each training and evaluation seed is drawn in each resample: (1 + B, T) and (1 + B, N).

    Row 0 is the sample itself, so that a point estimate is measured by the same formula as its resamples.
    """
    stream = generator(config.root_seed, "compare", "bootstrap")

    def counts(size: int) -> np.ndarray:
        drawn = stream.multinomial(size, np.full(size, 1 / size), size=config.resamples)
        return np.vstack([np.ones(size), drawn])

    return counts(training), counts(evaluation)


def _measure(results: PerSeed, training: np.ndarray, evaluation: np.ndarray) -> dict[str, np.ndarray]:
    """Each metric under each row of resampling weights: shape (1 + B,)."""
    if results.returns.shape[0] == 1:
        training = np.ones((len(training), 1))

    def mean(values: np.ndarray) -> np.ndarray:
        weighted = ((training @ values) * evaluation).sum(axis=1)
        return weighted / (training.sum(axis=1) * evaluation.sum(axis=1))

    accepted, queries = mean(results.accepted), mean(results.queries)
    return {
        "return": mean(results.returns),
        "accepted_per_query": np.divide(accepted, queries, out=np.zeros_like(accepted), where=queries > 0),
        "accepted_per_episode": accepted,
    }
