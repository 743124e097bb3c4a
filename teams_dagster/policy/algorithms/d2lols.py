"""D2LOLS (Chang et al. 2023): AggreVaTeD until the learner has what the guide can give, PPO++ afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from teams_dagster.policy.algorithms.actor_critic import Plan
from teams_dagster.policy.algorithms.aggrevated import AggreVaTeD
from teams_dagster.policy.algorithms.batch import Batch, RollIn
from teams_dagster.policy.algorithms.learner import Learner
from teams_dagster.policy.algorithms.ppo_plus_plus import PPOPlusPlus
from teams_dagster.policy.algorithms.report import UpdateReport


@dataclass(frozen=True)
class D2LOLS:
    """The first `switch` iterations are AggreVaTeD's, all others PPO++'s; each keeps its own critic."""

    learners: PPOPlusPlus
    guides: AggreVaTeD
    switch: int

    def phase(self, iteration: int) -> PPOPlusPlus | AggreVaTeD:
        """Whose `iteration` it is."""
        return self.guides if iteration < self.switch else self.learners

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        return self.phase(iteration).roll_in(iteration, horizon, draw)

    def plan(self, valid: torch.Tensor, by_learner: torch.Tensor, iteration: int) -> Plan:
        """Which steps of a batch of `iteration` teach whom, in the forms without branches."""
        return self.phase(iteration).plan(valid, by_learner, iteration)

    def update(self, learner: Learner, batch: Batch, iteration: int) -> UpdateReport:
        return self.phase(iteration).update(learner, batch, iteration)
