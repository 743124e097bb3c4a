"""Train your own policy in the environment, with every query on a ledger.

The learner is REINFORCE with a mean baseline, in NumPy: a linear softmax policy over the operations, which sees the
step, the length of the text and how often each operation was tried and accepted. The embedded rules rewrite and
review, so it runs without a key or a network:

    .venv/bin/python examples/train_a_policy.py

To train on another model, pass it to the engine in `environment` (one of `resources.language_models.openai_compatible`,
for example) and give the engine `Budgets`. If you run again with the same ledger, every query is answered from it.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from resources.language_models.offline.model import OfflineModel
from teams_dagster import (
    CallContext,
    Engine,
    Environment,
    InstructionVectorEnv,
    Ledger,
    Operation,
    Pool,
    RewardConfig,
    Role,
    Task,
    costs_by,
    load_prices,
    load_seeds,
)
from teams_dagster.environment.state import HORIZON, State
from teams_dagster.instructions.seeds import shipped_seeds_path

OPERATIONS = tuple(Operation)
FEATURES = 2 + HORIZON + 2 * len(OPERATIONS)


@dataclass(frozen=True)
class Rollouts:
    """A batch of episodes, all HORIZON steps long."""

    observations: np.ndarray
    """Shape (steps, episodes, FEATURES)."""
    actions: np.ndarray
    """Shape (steps, episodes)."""
    rewards: np.ndarray
    """Shape (steps, episodes)."""


def observe(state: State) -> np.ndarray:
    """A constant, the text's length, the step, and the operations tried and accepted so far: shape (FEATURES,)."""
    tried, accepted = np.zeros(len(OPERATIONS)), np.zeros(len(OPERATIONS))
    for past in state.past:
        tried[OPERATIONS.index(past.operation)] += 1
        accepted[OPERATIONS.index(past.operation)] += past.accepted
    step = np.eye(HORIZON + 1)[state.step, :HORIZON]
    return np.concatenate([[1.0, len(state.instruction.text) / 500], step, tried, accepted])


@asynccontextmanager
async def environment(ledger: Ledger, pool: Pool) -> AsyncIterator[Environment]:
    """What episodes run in: the embedded rules rewrite and review, the ledger keeps the account."""
    model = OfflineModel()
    context = CallContext(run_id="example", asset_key="train_a_policy")
    engine = Engine({Role.INSTRUCTOR: model, Role.REVIEWER: model}, ledger, context, load_prices())
    try:
        yield Environment(engine, pool, RewardConfig(), Role.INSTRUCTOR)
    finally:
        await engine.close()


def probabilities(weights: np.ndarray, observations: np.ndarray) -> np.ndarray:
    """pi(. | state) of a linear softmax policy: shape (episodes, operations)."""
    logits = observations @ weights
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def play(envs: InstructionVectorEnv, weights: np.ndarray, rng: np.random.Generator) -> Rollouts:
    """One episode in each place of `envs`."""
    observed, _ = envs.reset()
    observations, actions, rewards = [], [], []
    for _ in range(HORIZON):
        below = probabilities(weights, observed).cumsum(axis=1) < rng.random((envs.num_envs, 1))
        chosen = np.minimum(below.sum(axis=1), len(OPERATIONS) - 1)
        observations.append(observed)
        actions.append(chosen)
        observed, reward, _, truncated, _ = envs.step(chosen)
        if truncated.any():
            raise RuntimeError("a query failed for good: make the model reachable and run again, answers are kept")
        rewards.append(reward)
    return Rollouts(np.array(observations), np.array(actions), np.array(rewards))


def gradient(weights: np.ndarray, rollouts: Rollouts, gamma: float) -> np.ndarray:
    """REINFORCE: the mean of grad log pi(action | state) x (reward to go less its mean at that step)."""
    to_go = np.zeros_like(rollouts.rewards)
    ahead = np.zeros(rollouts.rewards.shape[1])
    for step in reversed(range(len(to_go))):
        ahead = rollouts.rewards[step] + gamma * ahead
        to_go[step] = ahead
    advantages = (to_go - to_go.mean(axis=1, keepdims=True)).ravel()
    observations = rollouts.observations.reshape(-1, FEATURES)
    taken = np.eye(len(OPERATIONS))[rollouts.actions.ravel()]
    scores = (taken - probabilities(weights, observations)) * advantages[:, None]
    return observations.T @ scores / len(advantages)


def train(ledger_path: Path, *, iterations: int, episodes: int, rate: float = 1.0, gamma: float = 0.9) -> list[float]:
    """Train on the shipped seeds. Returns the mean return of an episode, by iteration."""
    seeds = {seed.seed_id: seed.instruction for seed in load_seeds(shipped_seeds_path()).seeds}
    weights, rng, returns = np.zeros((FEATURES, len(OPERATIONS))), np.random.default_rng(0), []
    with Ledger(f"sqlite:///{ledger_path}") as ledger:
        task = Task(partial(environment, ledger, Pool(seeds.values())), seeds, observe, FEATURES)
        envs = InstructionVectorEnv(task, num_envs=episodes)
        envs.reset(seed=0)
        for iteration in range(iterations):
            rollouts = play(envs, weights, rng)
            weights += rate * gradient(weights, rollouts, gamma)
            returns.append(float(rollouts.rewards.sum(axis=0).mean()))
            print(f"iteration {iteration + 1} of {iterations}: mean return {returns[-1]:.3f}")
        envs.close()
        for cost in costs_by(ledger, ["role"], {"run_id": "example"}):
            print(f"{cost.group['role']}: {cost.asked:,} queries, {cost.reused:,} of them answered from the ledger")
    return returns


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train a policy with REINFORCE in the Gymnasium environment.")
    parser.add_argument("--ledger", type=Path, default=Path("example.sqlite"), help="the ledger's file")
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=64, help="of an iteration")
    given = parser.parse_args()
    train(given.ledger, iterations=given.iterations, episodes=given.episodes)


if __name__ == "__main__":
    main()
