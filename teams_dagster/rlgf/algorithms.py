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
from teams_dagster.rlgf.collecting import Planner
from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.critic_free import best_of, group_update, likelihood_update, remembered
from teams_dagster.rlgf.gail import gail_update
from teams_dagster.rlgf.learner import TokenLearner
from teams_dagster.rlgf.preferences import preference_update
from teams_dagster.rlgf.token_algorithm_config import (
    BehaviourCloningConfig,
    ExpertIterationConfig,
    GAILConfig,
    GRPOConfig,
    OnlineDPOConfig,
    RLOOConfig,
    TokenDAggerConfig,
)
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

    config: GRPOConfig | RLOOConfig | ExpertIterationConfig | BehaviourCloningConfig | OnlineDPOConfig
    root_seed: int

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        who = Who.GUIDE if self.config.asks_guide else Who.LEARNER
        return RollIn(who, who, switch=0)

    def update(self, learner: TokenLearner, known: Scored, iteration: int) -> UpdateReport:
        key, valid = _key(self.root_seed, iteration), known.batch.valid
        match self.config:
            case GRPOConfig() | RLOOConfig():
                return group_update(learner, known, self.config, key)
            case OnlineDPOConfig():
                return preference_update(learner, known, self.config, key)
            case ExpertIterationConfig():
                kept = torch.zeros(len(valid), 1, dtype=torch.bool)
                kept[best_of(known.rewards.sum(1), self.config)] = True
                return likelihood_update(learner, known, valid & kept, key, self.config.name)
            case BehaviourCloningConfig():
                return likelihood_update(learner, known, valid, key, self.config.name)


@dataclass(frozen=True)
class DAgger:
    """The learner begins, the guide goes on, and its tokens are learnt with those of earlier iterations."""

    config: TokenDAggerConfig
    root_seed: int

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        if draw("guide writes") < self.config.guide_decay**iteration:
            return RollIn(Who.GUIDE, Who.GUIDE, switch=0)
        return RollIn(Who.LEARNER, Who.GUIDE, switch=int(draw("switch") * horizon))

    def update(self, learner: TokenLearner, known: Scored, iteration: int) -> UpdateReport:
        lesson = remembered(learner, known.batch, self.config.memory)
        shown = known.batch.valid & ~known.batch.by_learner
        return likelihood_update(learner, known, shown, _key(self.root_seed, iteration), self.config.name, lesson)


@dataclass(frozen=True)
class GAIL:
    """Guide and learner write texts beside each other, and a discriminator's doubt is the learner's reward."""

    config: GAILConfig
    root_seed: int

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        who = Who.GUIDE if draw("guide writes") < self.config.guide_share else Who.LEARNER
        return RollIn(who, who, switch=0)

    def update(self, learner: TokenLearner, known: Scored, iteration: int) -> UpdateReport:
        return gail_update(learner, known, self.config, _key(self.root_seed, iteration))


def token_algorithm(config: RLGFConfig) -> TokenAlgorithm:
    """The algorithm of `config`; its random draws are keyed by the root seed."""
    algorithm = config.algorithm
    match algorithm:
        case TokenDAggerConfig():
            return DAgger(algorithm, config.root_seed)
        case GAILConfig():
            return GAIL(algorithm, config.root_seed)
        case GRPOConfig() | RLOOConfig() | ExpertIterationConfig() | BehaviourCloningConfig() | OnlineDPOConfig():
            return Alone(algorithm, config.root_seed)
        case _:
            return ActorCritic(cast(_Shared, algorithm.build(config.root_seed)))


def _key(root_seed: int, iteration: int) -> Key:
    """Names the stream that an iteration's minibatches are drawn from."""
    return (root_seed, "minibatches", iteration)
