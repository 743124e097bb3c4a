"""What a batch of episodes adds up to, and the learning curve: one record an iteration, and when training is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from teams_dagster.core.operations import Operation
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import HORIZON, ChosenBy, Episode


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
        """Total accepted over total queries: at most 1/2, and 1/3 where verdicts are taken in both orders."""
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


@dataclass(frozen=True)
class OwnSteps:
    """What the policy's own steps came to in a batch in which others acted too. Figures are 0 where it had none."""

    steps: int
    mean_return: float
    """What an episode of such steps comes to: their mean reward times the horizon."""
    accepted_per_query: float
    """Queries to a guide left out."""
    accepted_per_episode: float
    """Their share of accepted ones times the horizon."""
    operation_mix: dict[str, float]
    """Share of each operation."""


def own_steps(episodes: Sequence[Episode]) -> OwnSteps | None:
    """What the policy's own steps of `episodes` came to; None where nobody else acted."""
    everything = [transition for episode in episodes for transition in episode.transitions]
    own = [transition for transition in everything if transition.chosen_by is ChosenBy.POLICY]
    if len(own) == len(everything):
        return None
    count, accepted = max(1, len(own)), sum(transition.accepted for transition in own)
    operations = Counter(transition.operation.value for transition in own)
    return OwnSteps(
        steps=len(own),
        mean_return=HORIZON * sum(transition.reward for transition in own) / count,
        accepted_per_query=accepted / max(1, sum(transition.queries for transition in own)),
        accepted_per_episode=HORIZON * accepted / count,
        operation_mix={operation.value: operations[operation.value] / count for operation in Operation},
    )


def without_tokens(episodes: Sequence[Episode], reward: RewardConfig) -> int:
    """How many edits of `episodes` reward `dollars` cannot price; 0 under another one."""
    if reward.dollars is None:
        return 0
    transitions = (transition for episode in episodes for transition in episode.transitions)
    return sum(reward.edit_cost(each.rewrite_usage, each.review_usages) is None for each in transitions)


SMOOTHED = 4
"""Iterations whose mean return is compared: one batch alone is luck."""


@dataclass(frozen=True)
class IterationRecord:
    """One point of the learning curve: the batch that the policy of this iteration met, and the update made of it."""

    iteration: int
    policy_version: str
    """The policy that acted, before the update."""
    episodes: int
    truncated: int
    queries: int
    """All of them, the guide's included."""
    guidance_queries: int
    """Queries to the guide."""
    fallbacks: int
    """Operations drawn because the guide's answers could not be read."""
    mean_return: float
    accepted_per_query: float
    accepted_per_episode: float
    reward_variance: float
    unclear: int
    operation_mix: dict[str, float]
    """Share of each operation among the batch's transitions."""
    eliminated: dict[str, int]
    phase: str
    """Which algorithm's update it was: LOLS and D2LOLS change between two."""
    update: str
    """What became of the policy update."""
    policy_steps: int
    """Transitions that the policy learnt from."""
    critic_steps: int
    entropy: float
    """Mean entropy of the acting policy, in nats."""
    kl: float
    improvement: float
    step_size: float
    explained_variance: float | None
    """Of the critic that gave the advantages, before its fit; None where there was none."""
    critic_loss: float | None
    clip_fraction: float | None
    kappa: float | None
    """The price of moving away from the reference policy."""
    imitation_loss: float | None
    own: OwnSteps | None = None
    """The policy's own part of the batch, where a guide acted in it too; the figures above are of everyone's steps."""
    without_tokens: int = 0
    """Edits that reward `dollars` counted as 0, because an answer came without its number of tokens."""
    repeated: int = 0
    """Accepted edits to a text that another episode of the batch had reached from the same seed before."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """The record whose fields were written as plain values; earlier versions wrote no `own`, nor what follows."""
        own = record.get("own")
        fields: dict[str, Any] = {**record, "own": None if own is None else OwnSteps(**own)}
        return cls(**fields)

    @property
    def acted(self) -> OwnSteps | IterationRecord:
        """Of the policy's own steps; of everyone's where nobody else acted, or it took none."""
        return self.own if self.own and self.own.steps else self

    @property
    def own_return(self) -> float | None:
        """The return of the policy's own steps; None where it took none."""
        if self.own is None:
            return self.mean_return
        return self.own.mean_return if self.own.steps else None


def stops_early(curve: Sequence[IterationRecord], patience: int) -> bool:
    """Whether the last `patience` iterations brought no better return, on the mean of `SMOOTHED` iterations.

    The return is that of the policy's own steps. Where an algorithm has two phases, in which the policy acts at other
    steps, iterations of the last one are compared. A function of the curve alone, so that a resumed training stops
    where an uninterrupted one does.
    """
    if not patience:
        return False
    returns = [own for record in curve if record.phase == curve[-1].phase and (own := record.own_return) is not None]
    if len(returns) < SMOOTHED + patience:
        return False
    means = [sum(returns[end - SMOOTHED : end]) / SMOOTHED for end in range(SMOOTHED, len(returns) + 1)]
    return max(means[-patience:]) <= max(means[:-patience])
