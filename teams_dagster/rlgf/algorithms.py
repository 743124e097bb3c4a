"""The algorithm that a configuration names: who writes a text, and what is learnt from a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import torch

from teams_dagster.policy.algorithms.actor_critic import Plan
from teams_dagster.policy.algorithms.batch import RollIn, Who
from teams_dagster.policy.algorithms.minibatches import Key
from teams_dagster.policy.algorithms.report import UpdateReport
from teams_dagster.rlgf.alone import best_of, group_update, likelihood_update
from teams_dagster.rlgf.collecting import Planner
from teams_dagster.rlgf.config import (
    BehaviourCloningConfig,
    ExpertIterationConfig,
    GRPOConfig,
    RLGFConfig,
    RLOOConfig,
)
from teams_dagster.rlgf.learner import TokenLearner
from teams_dagster.rlgf.update import Scored, actor_critic_update


class TokenAlgorithm(Planner, Protocol):
    """Plans who writes a text, and learns from a batch of them."""

    def update(self, learner: TokenLearner, known: Scored, iteration: int) -> UpdateReport:
        """Move `learner` in place. Raises ValueError when an advantage is not finite."""
        ...


class _Shared(Planner, Protocol):
    """PPO, PPO++, AggreVaTeD, LOLS and D2LOLS, as the operation policy has them."""

    def plan(self, valid: torch.Tensor, by_learner: torch.Tensor, iteration: int) -> Plan: ...


@dataclass(frozen=True)
class ActorCritic:
    """An algorithm of the operation policy: its roll-ins and masks, with the update of tokens."""

    shared: _Shared

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        return self.shared.roll_in(iteration, horizon, draw)

    def update(self, learner: TokenLearner, known: Scored, iteration: int) -> UpdateReport:
        plan = self.shared.plan(known.batch.valid, known.batch.by_learner, iteration)
        return actor_critic_update(learner, known, plan)


@dataclass(frozen=True)
class Alone:
    """One who writes all texts, and an update without a critic."""

    config: GRPOConfig | RLOOConfig | ExpertIterationConfig | BehaviourCloningConfig
    root_seed: int

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        who = Who.GUIDE if self.config.asks_guide else Who.LEARNER
        return RollIn(who, who, switch=0)

    def update(self, learner: TokenLearner, known: Scored, iteration: int) -> UpdateReport:
        key: Key = (self.root_seed, "minibatches", iteration)
        match self.config:
            case GRPOConfig() | RLOOConfig():
                return group_update(learner, known, self.config, key)
            case ExpertIterationConfig():
                texts = best_of(known.rewards.sum(1), self.config)
            case BehaviourCloningConfig():
                texts = torch.arange(len(known.batch))
        return likelihood_update(learner, known, texts, key, self.config.name)


def token_algorithm(config: RLGFConfig) -> TokenAlgorithm:
    """The algorithm of `config`; its random draws are keyed by the root seed."""
    algorithm = config.algorithm
    if isinstance(algorithm, GRPOConfig | RLOOConfig | ExpertIterationConfig | BehaviourCloningConfig):
        return Alone(algorithm, config.root_seed)
    return ActorCritic(cast(_Shared, algorithm.build(config.root_seed)))
