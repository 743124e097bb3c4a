"""AggreVaTeD (Sun et al. 2017): learn to act so that the guide, taking over, does best.

The learner rolls in and the guide completes, so rewards after the switch estimate the guide's value. The policy
gradient is E[ sum over a of grad pi(a|s) A^g(s,a) ] with A^g the advantage under the guide: its fixed point is greedy
on the guide's Q, which is the optimum where the guide is optimal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from teams_dagster.policy.algorithms.actor_critic import (
    Estimates,
    Plan,
    actor_critic_update,
    move_policy,
    normalises_batch,
)
from teams_dagster.policy.algorithms.batch import Batch, Branches, RollIn, Who
from teams_dagster.policy.algorithms.config import AggreVaTeDForm, PPOConfig, TRPOConfig
from teams_dagster.policy.algorithms.kl_reference import gap, mean_gap
from teams_dagster.policy.algorithms.learner import Learner
from teams_dagster.policy.algorithms.minibatches import Key
from teams_dagster.policy.algorithms.objectives import enumerated
from teams_dagster.policy.algorithms.report import PolicyStep, UpdateReport, UpdateStatus
from teams_dagster.policy.estimators import normalised

PHASE = "aggrevated"


@dataclass(frozen=True)
class AggreVaTeD:
    """With probability `beta` the learner acts the first k steps, k uniform in 1..horizon; else the guide acts all.

    In the form `enumerated` the learner acts the first j steps, j uniform in 0..horizon-1, and state j is branched.
    """

    beta: float
    form: AggreVaTeDForm
    step: TRPOConfig | PPOConfig
    root_seed: int

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        if draw("learner begins") >= self.beta:
            return RollIn(Who.LEARNER, Who.GUIDE, switch=0)
        step = int(draw("switch") * horizon)
        if self.form == "enumerated":
            return RollIn(Who.LEARNER, Who.GUIDE, switch=step, branch=True)
        return RollIn(Who.LEARNER, Who.GUIDE, switch=step + 1)

    def plan(self, valid: torch.Tensor, by_learner: torch.Tensor, iteration: int) -> Plan:
        """Which steps of a batch teach whom, in the forms without branches; both masks (episodes, steps)."""
        own, guides, key = valid & by_learner, valid & ~by_learner, (self.root_seed, "minibatches", iteration)
        if self.form == "mask":
            return Plan(PHASE, "guide", own, guides, lambda estimates: estimates.gae, self.step, key)
        return Plan(PHASE, "guide", last_of(own), guides, guides_advantage, self.step, key)

    def update(self, learner: Learner, batch: Batch, iteration: int) -> UpdateReport:
        if self.form == "enumerated":
            return learn_branches(learner, batch, self.step, (self.root_seed, "minibatches", iteration))
        return actor_critic_update(learner, batch, self.plan(batch.valid, batch.by_learner, iteration))


def last_of(mask: torch.Tensor) -> torch.Tensor:
    """Of each row of (episodes, steps), the last True alone."""
    later = mask.flip(1).cumsum(1).flip(1)
    return mask & (later == 1)


def guides_advantage(estimates: Estimates) -> torch.Tensor:
    """A^g(s,a) = r + gamma G - V^g(s), G the guide's discounted return: right for the last step before the guide's."""
    return estimates.returns - estimates.values


def learn_branches(learner: Learner, batch: Batch, step: TRPOConfig | PPOConfig, key: Key) -> UpdateReport:
    """Move the policy up sum over a of pi(a|s) (Qhat(s,a) - mean over a' of Qhat(s,a')) at each branched state."""
    branches = batch.branches
    if branches is None or not len(branches.features):
        moved, count = PolicyStep(UpdateStatus.NO_STEPS), 0
    else:
        returns = priced_returns(learner, branches)
        tried = branches.tried
        mean = torch.where(tried, returns, 0.0).sum(-1, keepdim=True) / tried.sum(-1, keepdim=True)
        gains = torch.where(tried, returns - mean, 0.0)
        gains = normalised(gains, tried) if normalises_batch(step) else gains
        moved = move_policy(learner, batch, branches.features, enumerated(gains, tried), step, key)
        count = len(branches.features)
    kappa = learner.kappa if learner.kl else None
    return UpdateReport(**vars(moved), phase=PHASE, policy_steps=count, critic_steps=0, kappa=kappa)


def priced_returns(learner: Learner, branches: Branches) -> torch.Tensor:
    """Qhat(s,a) - kappa (log pi_old(a|s) - log pi_ref(a|s)): the branched choice is the learner's; then steer kappa."""
    if learner.kl is None:
        return branches.returns
    old, distance = gap(learner.policy, learner.reference, branches.features)
    priced = branches.returns - learner.kappa * distance
    learner.steer(mean_gap(old, distance))
    return priced
