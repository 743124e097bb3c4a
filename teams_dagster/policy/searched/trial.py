"""What a search plays: episodes on the training seeds, until it has asked as many queries as a training did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.environment.decisions import Actor
from teams_dagster.environment.episodes import EpisodePlan, run_episodes
from teams_dagster.environment.state import Episode
from teams_dagster.environment.transition import Environment
from teams_dagster.policy.baselines import baseline_version
from teams_dagster.policy.collecting import plan_batch

BATCH = 32
"""Episodes that are played before a search looks at what came of them: as many as a training's."""


@dataclass
class Trial:
    """The episodes of one search, and the account of its queries."""

    environment: Environment
    seeds: Mapping[str, Instruction]
    """What is trained on, by id."""
    name: str
    """What its transitions are filed under."""
    root_seed: int
    queries: int
    """What it may ask."""
    allowed: tuple[Operation, ...]
    """What it may choose."""
    gamma: float
    """Discount of future reward."""
    sink: Callable[[int, Sequence[Episode]], object]
    """Receives each round's number and its episodes."""
    on_episode: Callable[[Episode], object]
    asked: int = 0
    rounds: int = 0

    @property
    def left(self) -> int:
        """Queries that may still be asked."""
        return max(0, self.queries - self.asked)

    @property
    def queries_an_edit(self) -> int:
        """Queries of a step at most."""
        return self.environment.reward.queries_an_edit

    def plans(self, count: int = BATCH) -> list[EpisodePlan]:
        """As many episodes, from the next seeds of an endless series of shuffles."""
        version = baseline_version(self.name)
        return plan_batch(
            self.seeds,
            count=count,
            root_seed=self.root_seed,
            iteration=self.rounds,
            policy=self.name,
            version=version,
        )

    async def play(self, actor: Actor, plans: Sequence[EpisodePlan]) -> list[Episode]:
        """The episodes of `plans` under `actor`, in canonical order.

        One that asks nothing counts as one query, so that a search ends where resting is best.
        """
        episodes = await run_episodes(self.environment, actor, plans, on_episode=self.on_episode)
        self.sink(self.rounds, episodes)
        self.rounds += 1
        self.asked += sum(max(1, episode.queries) for episode in episodes)
        return episodes
