"""What episodes add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from teams_dagster.core.operations import Operation
from teams_dagster.environment.state import Episode


@dataclass(frozen=True)
class Tally:
    """What episodes add up to. Means are 0 where there is nothing to divide by."""

    episodes: int
    truncated: int
    transitions: int
    total_reward: float
    accepted: int
    queries: int
    unclear: int
    """Verdicts that could not be read."""
    reward_variance: float
    """Of the transitions that asked something. Near 0, there is nothing to learn."""
    operations: dict[str, int]
    """How often each operation was chosen."""
    eliminated: dict[str, int]
    """How many edits each rule eliminated."""

    @property
    def mean_return(self) -> float:
        """Undiscounted reward per episode."""
        return self.total_reward / max(1, self.episodes)

    @property
    def accepted_per_query(self) -> float:
        """Total accepted over total queries: at most 0.5."""
        return self.accepted / max(1, self.queries)

    @property
    def accepted_per_episode(self) -> float:
        """Accepted transitions per episode: at most the horizon."""
        return self.accepted / max(1, self.episodes)


def tally(episodes: Sequence[Episode]) -> Tally:
    """Add up `episodes`."""
    transitions = [transition for episode in episodes for transition in episode.transitions]
    asked = [transition.reward for transition in transitions if transition.operation is not Operation.NONE]
    operations = Counter(transition.operation.value for transition in transitions)
    return Tally(
        episodes=len(episodes),
        truncated=sum(episode.failed is not None for episode in episodes),
        transitions=len(transitions),
        total_reward=sum(transition.reward for transition in transitions),
        accepted=sum(episode.accepted for episode in episodes),
        queries=sum(episode.queries for episode in episodes),
        unclear=sum(transition.verdict == "unclear" for transition in transitions),
        reward_variance=float(np.var(asked)) if asked else 0.0,
        operations={operation.value: operations[operation.value] for operation in Operation},
        eliminated=dict(sorted(Counter(t.eliminated_by.value for t in transitions if t.eliminated_by).items())),
    )


FLAT_VARIANCE = 0.01
"""Below this variance of the reward of asked transitions (99% of edits alike), the reward is called flat."""


def is_flat(reward_variance: float) -> bool:
    """Whether a reward with this variance leaves a policy nothing to learn."""
    return reward_variance < FLAT_VARIANCE
