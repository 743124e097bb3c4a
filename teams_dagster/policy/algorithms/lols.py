"""LOLS (Chang et al. 2015): a mix of learning from the guide's completions and from one's own.

Each iteration is one of PPO++ with probability tau, else one of AggreVaTeD; each keeps its own critic. The mix is as
good as the guide where the guide is good, and improves on it where it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from teams_dagster.core.rng import uniform
from teams_dagster.policy.algorithms.actor_critic import Plan
from teams_dagster.policy.algorithms.aggrevated import AggreVaTeD
from teams_dagster.policy.algorithms.batch import Batch, RollIn
from teams_dagster.policy.algorithms.learner import Learner
from teams_dagster.policy.algorithms.ppo_plus_plus import PPOPlusPlus
from teams_dagster.policy.algorithms.report import UpdateReport


@dataclass(frozen=True)
class LOLS:
    """A coin of its own stream, one toss an iteration, says whose iteration it is."""

    learners: PPOPlusPlus
    guides: AggreVaTeD
    tau: float
    root_seed: int

    def phase(self, iteration: int) -> PPOPlusPlus | AggreVaTeD:
        """Whose `iteration` it is."""
        return self.learners if uniform(self.root_seed, "lols", iteration) < self.tau else self.guides

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        return self.phase(iteration).roll_in(iteration, horizon, draw)

    def plan(self, valid: torch.Tensor, by_learner: torch.Tensor, iteration: int) -> Plan:
        """Which steps of a batch of `iteration` teach whom, in the forms without branches."""
        return self.phase(iteration).plan(valid, by_learner, iteration)

    def update(self, learner: Learner, batch: Batch, iteration: int) -> UpdateReport:
        return self.phase(iteration).update(learner, batch, iteration)
