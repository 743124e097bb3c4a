"""PPO++ (Chang et al. 2023, "Learning to Generate Better Than Your LLM"): the guide rolls in, the learner learns.

The guide begins an episode and the learner completes it, so that the learner meets good states early. Only the
learner's own steps train it, so they are on-policy and need no correction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from teams_dagster.policy.algorithms.actor_critic import Plan, actor_critic_update
from teams_dagster.policy.algorithms.batch import Batch, RollIn, Who
from teams_dagster.policy.algorithms.config import PPOConfig, TRPOConfig
from teams_dagster.policy.algorithms.learner import Learner
from teams_dagster.policy.algorithms.on_policy import own_steps
from teams_dagster.policy.algorithms.report import UpdateReport


@dataclass(frozen=True)
class PPOPlusPlus:
    """With probability `beta` the guide acts the first k steps, k uniform in 1..horizon-1; else it acts none."""

    beta: float
    step: TRPOConfig | PPOConfig
    root_seed: int

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        begins = horizon > 1 and draw("guide begins") < self.beta
        switch = 1 + int(draw("switch") * (horizon - 1)) if begins else 0
        return RollIn(Who.GUIDE, Who.LEARNER, switch)

    def plan(self, valid: torch.Tensor, by_learner: torch.Tensor, iteration: int) -> Plan:
        """Which steps of a batch teach whom; both masks (episodes, steps)."""
        return own_steps(valid & by_learner, self.step, (self.root_seed, "minibatches", iteration), "ppo_plus_plus")

    def update(self, learner: Learner, batch: Batch, iteration: int) -> UpdateReport:
        return actor_critic_update(learner, batch, self.plan(batch.valid, batch.by_learner, iteration))
