"""The trained policy against others on seeds that it never met.

All policies meet the same answers (replica 0) and the same draws, and ask equally many queries from each seed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.core.instruction import Instruction
from teams_dagster.environment.episodes import OPEN_EPISODES
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import Episode
from teams_dagster.environment.transition import Environment
from teams_dagster.llm.ordered import in_order
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.bootstrap import Resamples
from teams_dagster.policy.comparison.contenders import Contender
from teams_dagster.policy.comparison.playing import Allowance, Player, Results, SeedPlay, play, results_of
from teams_dagster.policy.comparison.scores import Score, measured, scored
from teams_dagster.policy.comparison.share import Play, players_of
from teams_dagster.policy.curve import Tally, is_flat, tally

_log = logging.getLogger(__name__)


EPISODES = 2
"""Whole episodes that the allowance from one seed is enough for by default."""


def default_questions(reward: RewardConfig) -> int:
    """Queries that each policy may ask from each held-out seed, by default."""
    return EPISODES * reward.queries_an_episode


class ComparisonConfig(BaseModel):
    """How policies are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")
    questions_per_seed: int = Field(
        default=default_questions(RewardConfig()),
        ge=RewardConfig().queries_an_episode,
        description="Queries that each policy may ask from each held-out seed; an episode needs 12 at"
        " most, and 18 where verdicts are taken in both orders.",
    )
    resamples: int = Field(default=2_000, ge=200, description="Bootstrap resamples.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Coverage of the intervals.")


@dataclass(frozen=True)
class Comparison:
    """What a comparison found."""

    scores: tuple[Score, ...]
    tallies: dict[str, Tally]
    """Totals by policy, over its training seeds and all episodes that were run."""
    flat_reward: bool
    """Uniform's edits are all rewarded nearly alike: no policy can show a gain, whatever the intervals say."""
    seed_ids: tuple[str, ...]
    results: dict[str, Results] = field(repr=False)
    resamples: Resamples = field(repr=False)

    def score(self, policy: str, metric: str) -> Score:
        """The score of `policy` in `metric`. Raises KeyError when it was not measured."""
        for score in self.scores:
            if (score.policy, score.metric) == (policy, metric):
                return score
        raise KeyError(f"no score for policy {policy!r} and metric {metric!r}")


Sink = Callable[[str, Mapping[str, SeedPlay]], None]
"""Receives a contender's name and what it did from each evaluation seed; once per training seed."""

PlayedBy = Callable[[Play], Coroutine[Any, Any, SeedPlay]]
"""Brings what a policy does from a seed, from wherever it is played."""


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
    played_by: PlayedBy | None = None,
) -> Comparison:
    """Play every contender on `seeds` (by seed id) and score it against uniform, which must be among them.

    `on_episode` hears of each episode as it is done, `progress` of each contender. `played_by` plays in the place of
    this process.

    Raises ValueError when a seed was trained on, when there is none, when uniform is missing, or when the allowance is
    less than an episode may need.
    """
    check_room(config, environment.reward)
    _check(compared, seeds, trained_on)
    results: dict[str, Results] = {}
    tallies: dict[str, Tally] = {}
    for contender in compared:
        plays = [
            await _played(environment, player, seeds, config, on_episode)
            if played_by is None
            else await _played_elsewhere(played_by, player, seeds, on_episode)
            for player in players_of(contender)
        ]
        for by_seed in plays:
            if sink:
                sink(contender.name, by_seed)
        results[contender.name] = results_of(plays)
        total = tally([episode for by_seed in plays for p in by_seed.values() for episode in p.episodes])
        tallies[contender.name] = total
        progress(
            f"{contender.name}: return {total.mean_return:.3f}, accepted per query {total.accepted_per_query:.3f},"
            f" per episode {total.accepted_per_episode:.2f} ({total.queries} queries)"
        )
    flat = is_flat(tallies[UNIFORM].reward_variance)
    if flat:
        progress(f"the reward is flat: its variance under uniform is {tallies[UNIFORM].reward_variance:.4f}")
    training_seeds = max(len(contender.deciders) for contender in compared)
    resamples = Resamples.drawn(training_seeds, len(seeds), config.resamples, config.root_seed, config.confidence)
    scores = scored(
        list(measured(results, resamples)),
        {contender.name: contender for contender in compared},
        {name: total.episodes for name, total in tallies.items()},
        {name: round(float(result.queries.sum())) for name, result in results.items()},
        config.confidence,
    )
    return Comparison(tuple(scores), tallies, flat, tuple(sorted(seeds)), results, resamples)


def allowance_of(config: ComparisonConfig, reward: RewardConfig) -> Allowance:
    """What each policy may ask from each seed."""
    return Allowance(config.questions_per_seed, reward.queries_an_episode)


def check_room(config: ComparisonConfig, reward: RewardConfig) -> None:
    """Raises ValueError where the allowance from one seed is less than an episode may need."""
    if config.questions_per_seed < reward.queries_an_episode:
        raise ValueError(
            f"questions_per_seed {config.questions_per_seed} is less than the {reward.queries_an_episode} queries that"
            " an episode with verdicts in both orders needs: give it as many, or leave it out"
        )


def _check(compared: Sequence[Contender], seeds: Mapping[str, Instruction], trained_on: Collection[str]) -> None:
    if not seeds:
        raise ValueError("there are no held-out seeds to compare policies on; keep some out of training")
    if seen := sorted(set(seeds) & set(trained_on)):
        raise ValueError(f"{len(seen)} comparison seeds were trained on, {seen[0]!r} first; keep them apart")
    if UNIFORM not in {contender.name for contender in compared}:
        raise ValueError(f"{UNIFORM!r} is not among the contenders; scores are measured against it")
    several = {len(contender.deciders) for contender in compared} - {1}
    if len(several) > 1:
        raise ValueError(f"policies have {sorted(several)} training seeds; give all that are trained the same ones")


async def _played(
    environment: Environment,
    player: Player,
    seeds: Mapping[str, Instruction],
    config: ComparisonConfig,
    on_episode: Callable[[Episode], object] | None,
) -> dict[str, SeedPlay]:
    allowance = allowance_of(config, environment.reward)
    return {
        seed_id: found
        async for seed_id, found in play(environment, player, seeds, allowance, config.root_seed, on_episode)
    }


async def _played_elsewhere(
    played_by: PlayedBy,
    player: Player,
    seeds: Mapping[str, Instruction],
    on_episode: Callable[[Episode], object] | None,
) -> dict[str, SeedPlay]:
    async def one(seed_id: str) -> SeedPlay:
        found = await played_by(Play(player.name, player.version, seed_id))
        if on_episode:
            for episode in found.episodes:
                on_episode(episode)
        return found

    ids = sorted(seeds)
    async with aclosing(in_order(one, ids, OPEN_EPISODES)) as plays:
        return {seed_id: await anext(plays) for seed_id in ids}
