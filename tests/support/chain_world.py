"""A small chain whose values are exact: its optimum, any policy's value and any guide's Q come from recursion.

Three places, one above the other, and HORIZON steps from the bottom. `climb` costs a little and goes one up, `stay`
pays much at the top and next to nothing elsewhere, `rest` goes to the bottom and pays a little there. A state is a
(step, place) pair; its feature is one-hot. No discount.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from teams_dagster.core.rng import generator, uniform
from teams_dagster.policy.algorithms.algorithm import Algorithm, algorithm_of
from teams_dagster.policy.algorithms.batch import Batch, Branches, RollIn, Who
from teams_dagster.policy.algorithms.config import (
    AlgorithmConfig,
    CriticConfig,
    KLReferenceConfig,
    LBFGSCriticConfig,
)
from teams_dagster.policy.algorithms.learner import Learner
from teams_dagster.policy.network import Weights

HORIZON, PLACES, CHOICES = 4, 3, 3
FEATURES = HORIZON * PLACES
STAY, CLIMB, REST = range(CHOICES)

Table = np.ndarray
"""Probabilities of each choice: (steps, places, choices)."""


def moves(place: int, choice: int) -> int:
    """Where `choice` leads."""
    return {STAY: place, CLIMB: min(place + 1, PLACES - 1), REST: 0}[choice]


def reward(place: int, choice: int) -> float:
    """What `choice` pays."""
    return ((0.0, -0.05, 0.15), (0.05, -0.05, 0.0), (1.0, -0.05, 0.0))[place][choice]


NEXT = np.array([[moves(place, choice) for choice in range(CHOICES)] for place in range(PLACES)])
REWARD = np.array([[reward(place, choice) for choice in range(CHOICES)] for place in range(PLACES)])

STATES = torch.eye(FEATURES, dtype=torch.float64)
"""Every state's features, in (step, place) order."""


def q_of(policy: Table) -> np.ndarray:
    """Q(step, place, choice) where `policy` makes all later choices."""
    q, after = np.zeros((HORIZON, PLACES, CHOICES)), np.zeros(PLACES)
    for step in reversed(range(HORIZON)):
        for place in range(PLACES):
            for choice in range(CHOICES):
                q[step, place, choice] = reward(place, choice) + after[moves(place, choice)]
        after = (policy[step] * q[step]).sum(-1)
    return q


def value_of(policy: Table) -> float:
    """Expected return from the bottom."""
    return float((policy[0, 0] * q_of(policy)[0, 0]).sum())


def greedy(q: np.ndarray) -> Table:
    """The policy that makes the best choice of `q` everywhere."""
    return np.eye(CHOICES)[q.argmax(-1)]


def optimal() -> Table:
    """The best policy, by dynamic programming."""
    policy = np.full((HORIZON, PLACES, CHOICES), 1 / CHOICES)
    for _ in range(HORIZON):
        policy = greedy(q_of(policy))
    return policy


def always(choice: int) -> Table:
    """The policy that makes `choice` everywhere."""
    return np.eye(CHOICES)[np.full((HORIZON, PLACES), choice)]


def visits(policy: Table) -> np.ndarray:
    """Share of an episode's steps spent in each state: (steps, places), sum 1."""
    share = np.zeros((HORIZON, PLACES))
    share[0, 0] = 1 / HORIZON
    for step in range(HORIZON - 1):
        for place in range(PLACES):
            for choice in range(CHOICES):
                share[step + 1, moves(place, choice)] += share[step, place] * policy[step, place, choice]
    return share


def softened(policy: Table, share: float) -> Table:
    """`policy`, with `share` of its choices made uniformly."""
    return (1 - share) * policy + share / CHOICES


def drawn(probabilities: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """One choice a row of (n, choices)."""
    return np.minimum((probabilities.cumsum(-1) < uniforms[:, None]).sum(-1), CHOICES - 1)


def collect(policy: Table, guide: Table, plans: Sequence[RollIn], stream: np.random.Generator) -> Batch:
    """One episode a plan, from the bottom."""
    count = len(plans)
    features, actions = np.zeros((count, HORIZON, FEATURES)), np.zeros((count, HORIZON), dtype=np.int64)
    rewards, valid = np.zeros((count, HORIZON)), np.zeros((count, HORIZON), dtype=bool)
    by_learner, labels = np.zeros_like(valid), np.full_like(actions, -1)
    asks = np.array([plan.ask_labels for plan in plans])
    place, branches = np.zeros(count, dtype=np.int64), []
    for step in range(HORIZON):
        here = np.array([not plan.branch or step < plan.switch for plan in plans])
        branched = np.array([plan.branch and step == plan.switch for plan in plans])
        branches.append(_tries(guide, step, place[branched], stream))
        own = np.array([plan.who(step) is Who.LEARNER for plan in plans])
        guided = drawn(guide[step, place], stream.random(count))
        chosen = np.where(own, drawn(policy[step, place], stream.random(count)), guided)
        features[here, step] = np.eye(FEATURES)[step * PLACES + place[here]]
        actions[:, step], rewards[:, step] = np.where(here, chosen, 0), np.where(here, REWARD[place, chosen], 0.0)
        labels[:, step] = np.where(here & (~own | asks), guided, -1)
        valid[:, step], by_learner[:, step] = here, here & own
        place = np.where(here, NEXT[place, chosen], place)
    whole = [torch.from_numpy(np.concatenate(parts)) for parts in zip(*branches, strict=True)]
    arrays = (features, actions, rewards, valid, np.zeros((count, FEATURES)), np.zeros(count, dtype=bool))
    return Batch(
        *(torch.from_numpy(array) for array in (*arrays, by_learner, labels)),
        branches=Branches(*whole) if len(whole[0]) else None,
    )


def _tries(
    guide: Table, start: int, places: np.ndarray, stream: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, returns and `tried` of states whose every choice is completed by the guide."""
    returns = np.zeros((len(places), CHOICES))
    for choice in range(CHOICES):
        place, chosen = places, np.full(len(places), choice)
        for step in range(start, HORIZON):
            if step > start:
                chosen = drawn(guide[step, place], stream.random(len(places)))
            returns[:, choice] += REWARD[place, chosen]
            place = NEXT[place, chosen]
    return np.eye(FEATURES)[start * PLACES + places], returns, np.ones_like(returns, dtype=bool)


def table_of(policy: Callable[[torch.Tensor], torch.Tensor]) -> Table:
    """What a network does in every state."""
    with torch.no_grad():
        return policy(STATES).exp().numpy().reshape(HORIZON, PLACES, CHOICES)


def learner_of(
    algorithm: AlgorithmConfig,
    *,
    seed: int = 0,
    critic: CriticConfig | None = None,
    kl: KLReferenceConfig | None = None,
    decay: float = 0.95,
    reference: Weights | None = None,
) -> Learner:
    """A learner for the chain, before its first update."""
    return Learner.new(
        features=FEATURES,
        hidden=(16,),
        allowed=np.ones(CHOICES, dtype=bool),
        algorithm=algorithm,
        critic=critic or LBFGSCriticConfig(),
        kl=kl,
        gamma=1.0,
        decay=decay,
        root_seed=seed,
        reference=reference,
    )


def batch_for(
    algorithm: Algorithm, learner: Learner, guide: Table, seed: int, iteration: int, episodes: int = 64
) -> Batch:
    """The episodes of one iteration."""
    plans = [
        algorithm.roll_in(
            iteration, HORIZON, lambda name, episode=episode: uniform(seed, "plan", iteration, episode, name)
        )
        for episode in range(episodes)
    ]
    return collect(table_of(learner.policy), guide, plans, generator(seed, "chain", iteration))


def trained(config: AlgorithmConfig, guide: Table, seed: int, iterations: int, **options: Any) -> Table:
    """The policy after `iterations` updates."""
    episodes = options.pop("episodes", 64)
    learner, algorithm = learner_of(config, seed=seed, **options), algorithm_of(config, seed)
    for iteration in range(iterations):
        algorithm.update(learner, batch_for(algorithm, learner, guide, seed, iteration, episodes), iteration)
    return table_of(learner.policy)
