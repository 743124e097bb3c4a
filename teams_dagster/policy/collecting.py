"""A training batch: whose turn it is in each episode, the branches where an algorithm wants them, and the tensors.

An algorithm says for each episode who acts up to which step (its roll-in), the learner or the guide. Here that becomes
episodes of instructions; everything after this module sees tensors alone.

A policy that has settled finds the same texts from a seed again and again, and a generation keeps each of them once.
The reward of a transition cannot tell, since it depends on the transition alone. So a training with several episodes
of each seed in a batch looks for repeats at the update, in canonical order, and the advantage is estimated as if a
repeated edit had brought nothing. The transition's own reward stays as it is, and can be replayed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation, Rewriting
from teams_dagster.core.rng import generator
from teams_dagster.environment.decisions import Decider, Decision
from teams_dagster.environment.episodes import EpisodePlan, run_episodes
from teams_dagster.environment.reward import RewardConfig, reward
from teams_dagster.environment.state import HORIZON, ChosenBy, Episode, EpisodeKey, EpisodePurpose, State, Transition
from teams_dagster.environment.transition import Environment
from teams_dagster.policy.algorithms.batch import RollIn, Who
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.guide import Advisor, Labelled
from teams_dagster.policy.reader.reading import Reader

if TYPE_CHECKING:
    from teams_dagster.policy.algorithms.batch import Batch, Branches


def repeated(episodes: Sequence[Episode]) -> np.ndarray:
    """Accepted edits to a text that an earlier one of `episodes` reached from the same seed: bool, (episodes, steps).

    `episodes` are in canonical order. A text that an episode reaches twice by itself is no repeat: its novelty is 0.
    """
    found = np.zeros((len(episodes), HORIZON), dtype=bool)
    reached: dict[str, set[str]] = {}
    for row, episode in enumerate(episodes):
        earlier = reached.setdefault(episode.key.seed_id, set())
        own: set[str] = set()
        for step, transition in enumerate(episode.transitions):
            if transition.accepted and transition.after is not None:
                found[row, step] = transition.after.instruction_id in earlier
                own.add(transition.after.instruction_id)
        earlier |= own
    return found


def repeated_gains(episodes: Sequence[Episode], config: RewardConfig) -> np.ndarray:
    """What each repeated edit earned over one that brings nothing: float64, (episodes, steps); 0 where none is."""
    gains = np.zeros((len(episodes), HORIZON))
    for row, step in np.argwhere(repeated(episodes)):
        transition = episodes[int(row)].transitions[int(step)]
        gains[row, step] = transition.reward - _without_gain(transition, config)
    return gains


def _without_gain(transition: Transition, config: RewardConfig) -> float:
    """The reward of an edit that was refused, at the same queries and tokens."""
    spent = config.edit_cost(transition.rewrite_usage, transition.review_usages)
    return reward(config, accepted=False, novelty=None, queries=transition.queries, nano_usd=spent)


_INDEX: dict[Rewriting, int] = {operation: index for index, operation in enumerate(Operation)}


@dataclass(frozen=True)
class RollingIn:
    """Acts as each episode's roll-in says."""

    learner: Decider
    guide: Advisor
    roll_ins: Mapping[tuple[str, int], RollIn]
    """By the episode's place in the canonical order."""

    async def decide(self, environment: Environment, key: EpisodeKey, state: State, transition: str) -> Decision:
        """The learner's operation, the guide's, or the one that a branch tries first."""
        roll_in = self.roll_ins[key.order]
        if key.branch is not None and state.step == roll_in.switch:
            return Decision(Operation(key.branch), 1.0, ChosenBy.BRANCH)
        who = roll_in.who(state.step)
        if who is Who.GUIDE:
            return await self.guide.decide(environment, key, state, transition)
        acting = Labelled(self.learner, self.guide) if roll_in.ask_labels else self.learner
        return await acting.decide(environment, key, state, transition)


@dataclass(frozen=True)
class Collected:
    """What an iteration collected."""

    episodes: tuple[Episode, ...]
    """In canonical order."""
    branches: tuple[Episode, ...]
    """Those of each episode together, in the order of `Operation`."""

    @property
    def everything(self) -> tuple[Episode, ...]:
        """All that was asked for."""
        return self.episodes + self.branches


async def collect(
    environment: Environment,
    decider: RollingIn,
    plans: Sequence[EpisodePlan],
    allowed: Sequence[Operation],
    on_episode: Callable[[Episode], object] | None = None,
) -> Collected:
    """Run `plans`, and from the last state of each that is to branch, every one of the `allowed` operations."""
    branching = {plan.key.order for plan in plans if decider.roll_ins[plan.key.order].branch}
    trunks = [
        replace(plan, until=decider.roll_ins[plan.key.order].switch) if plan.key.order in branching else plan
        for plan in plans
    ]
    episodes = await run_episodes(environment, decider, trunks, on_episode=on_episode)
    grown = [
        EpisodePlan(replace(episode.key, branch=operation.value), episode.states[0].seed, begin=episode.states[-1])
        for episode in episodes
        if episode.key.order in branching and episode.failed is None
        for operation in allowed
    ]
    branches = await run_episodes(environment, decider, grown, on_episode=on_episode) if grown else []
    return Collected(tuple(episodes), tuple(branches))


def plan_batch(
    seeds: Mapping[str, Instruction],
    *,
    count: int,
    root_seed: int,
    iteration: int,
    policy: str,
    version: str,
    of_each: int = 1,
) -> list[EpisodePlan]:
    """An iteration's `count` episodes, `of_each` for each seed it draws, of which `count` is a multiple."""
    met: Counter[str] = Counter()
    plans: list[EpisodePlan] = []
    drawn = next_ids(sorted(seeds), count // of_each, root_seed, iteration)
    for seed_id in (seed_id for seed_id in drawn for _ in range(of_each)):
        key = EpisodeKey(
            root_seed=root_seed,
            purpose=EpisodePurpose.TRAIN,
            policy=policy,
            policy_version=version,
            seed_id=seed_id,
            episode=met[seed_id],
            iteration=iteration,
        )
        plans.append(EpisodePlan(key, seeds[seed_id]))
        met[seed_id] += 1
    return plans


def next_ids(ids: Sequence[str], count: int, root_seed: int, iteration: int) -> list[str]:
    """The next `count` of an endless series of shuffles of `ids`, so that each is met equally often.

    No id comes twice where there are `count` of them: a shuffle that continues a batch puts the batch's own ids last.
    """
    begin, order, chosen = iteration * count, list[str](), list[str]()
    for epoch in range((begin + count - 1) // len(ids) + 1):
        begun = set(order[len(ids) - (epoch * len(ids)) % count :]) if count <= len(ids) and epoch else set[str]()
        shuffled = [ids[int(index)] for index in generator(root_seed, "train", "seeds", epoch).permutation(len(ids))]
        order = sorted(shuffled, key=begun.__contains__)
        low = max(begin - epoch * len(ids), 0)
        chosen.extend(order[low : max(begin + count - epoch * len(ids), 0)])
    return chosen


def batch_of(collected: Collected, encode: Reader, config: TrainingConfig) -> Batch:
    """The tensors of what was collected."""
    import torch

    from teams_dagster.policy.algorithms.batch import Batch

    episodes = collected.episodes
    count = len(episodes)
    inputs, final = np.zeros((count, HORIZON, encode.size)), np.zeros((count, encode.size))
    actions, rewards = np.zeros((count, HORIZON), dtype=np.int64), np.zeros((count, HORIZON))
    valid, by_learner = np.zeros((count, HORIZON), dtype=bool), np.zeros((count, HORIZON), dtype=bool)
    labels = np.full((count, HORIZON), -1, dtype=np.int64)
    for row, episode in enumerate(episodes):
        for step, transition in enumerate(episode.transitions):
            inputs[row, step] = encode(episode.states[step])
            actions[row, step] = _INDEX[transition.operation]
            rewards[row, step] = transition.reward
            valid[row, step] = True
            by_learner[row, step] = transition.chosen_by is ChosenBy.POLICY
            if transition.proposed is not None:
                labels[row, step] = _INDEX[transition.proposed]
        final[row] = encode(episode.states[-1])
    return Batch(
        features=torch.as_tensor(inputs),
        actions=torch.as_tensor(actions),
        rewards=torch.as_tensor(rewards),
        valid=torch.as_tensor(valid),
        final_features=torch.as_tensor(final),
        truncated=torch.as_tensor(np.array([episode.failed is not None for episode in episodes])),
        by_learner=torch.as_tensor(by_learner),
        labels=torch.as_tensor(labels),
        branches=_branches_of(collected.branches, encode, config.gamma) if collected.branches else None,
        repeated_gains=(
            torch.as_tensor(repeated_gains(episodes, config.reward)) if config.episodes_per_seed > 1 else None
        ),
    )


def _branches_of(branches: Sequence[Episode], encode: Reader, gamma: float) -> Branches:
    """The return of each operation tried, completed by the guide; one that a failed query cut short is untried."""
    import torch

    from teams_dagster.policy.algorithms.batch import Branches

    grown: dict[tuple[str, int], list[Episode]] = defaultdict(list)
    for branch in branches:
        grown[branch.key.order].append(branch)
    features = np.stack([encode(group[0].states[0]) for group in grown.values()])
    returns, tried = np.zeros((len(grown), len(_INDEX))), np.zeros((len(grown), len(_INDEX)), dtype=bool)
    for row, group in enumerate(grown.values()):
        for branch in group:
            if branch.failed is None:
                index = _INDEX[Operation(branch.key.branch)]
                returns[row, index] = sum(gamma**late * step.reward for late, step in enumerate(branch.transitions))
                tried[row, index] = True
    return Branches(torch.as_tensor(features), torch.as_tensor(returns), torch.as_tensor(tried))
