"""TRPO and PPO as algorithms: the learner acts every step and learns every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from teams_dagster.policy.algorithms.actor_critic import Plan, actor_critic_update
from teams_dagster.policy.algorithms.batch import Batch, RollIn, Who
from teams_dagster.policy.algorithms.config import PPOConfig, TRPOConfig
from teams_dagster.policy.algorithms.learner import Learner
from teams_dagster.policy.algorithms.minibatches import Key
from teams_dagster.policy.algorithms.report import UpdateReport


@dataclass(frozen=True)
class OnPolicy:
    """TRPO or PPO, as `step` says. With an imitation weight, the guide labels the states that the learner visits."""

    step: TRPOConfig | PPOConfig
    root_seed: int

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        return RollIn(Who.LEARNER, Who.LEARNER, switch=0, ask_labels=self.step.asks_guide)

    def plan(self, valid: torch.Tensor, by_learner: torch.Tensor, iteration: int) -> Plan:
        """Which steps of a batch teach whom; both masks (episodes, steps)."""
        return own_steps(valid & by_learner, self.step, (self.root_seed, "minibatches", iteration), self.step.name)

    def update(self, learner: Learner, batch: Batch, iteration: int) -> UpdateReport:
        return actor_critic_update(learner, batch, self.plan(batch.valid, batch.by_learner, iteration))


def own_steps(own: torch.Tensor, step: TRPOConfig | PPOConfig, key: Key, phase: str) -> Plan:
    """Train the policy and the critic of its own value on the learner's steps `own`, and on no other's."""
    return Plan(phase, "learner", own, own, lambda estimates: estimates.gae, step, key)
