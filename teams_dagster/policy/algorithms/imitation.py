"""Learning the guide's own choices: behaviour cloning, and DAgger (Ross et al. 2011).

Both maximise the likelihood of the guide's choice on states that are labelled with it. Behaviour cloning labels the
states that the guide visits, DAgger those that the learner visits, so that the learner knows what to do where its own
mistakes lead. Both keep what was labelled: each iteration learns from all states so far, as DAgger's guarantee asks. An
unreadable answer of the guide is never a label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from teams_dagster.policy.algorithms.batch import Batch, RollIn, Who
from teams_dagster.policy.algorithms.config import BCConfig, DAggerConfig, PPOConfig
from teams_dagster.policy.algorithms.labelled import Labelled, labelled_states
from teams_dagster.policy.algorithms.learner import Learner
from teams_dagster.policy.algorithms.minibatches import Key, gradient_step, minibatches
from teams_dagster.policy.algorithms.objectives import imitation_loss, mean_entropy, mean_kl
from teams_dagster.policy.algorithms.report import PolicyStep, UpdateReport, UpdateStatus


def imitation_step(
    policy: nn.Module,
    optimiser: torch.optim.Adam,
    labelled: Labelled,
    config: BCConfig | DAggerConfig | PPOConfig,
    key: Key,
    weight: float = 1.0,
) -> PolicyStep:
    """Move `policy` up the likelihood of `labelled`, times `weight`, in place. Minibatches are drawn from `key`."""
    with torch.no_grad():
        old = policy(labelled.features)
    for epoch in range(config.epochs):
        for index in minibatches(len(labelled), config.minibatch, (*key, epoch, "labelled")):
            gradient_step(weight * labelled.rows(index).loss(policy), optimiser, config.max_gradient_norm)
    with torch.no_grad():
        new = policy(labelled.features)
    before, after = (float(imitation_loss(log_probabilities, labelled.labels)) for log_probabilities in (old, new))
    return PolicyStep(
        UpdateStatus.MOVED,
        entropy=float(mean_entropy(old)),
        kl=float(mean_kl(old, new)),
        improvement=before - after,
        step_size=1.0,
        imitation_loss=before,
    )


@dataclass(frozen=True)
class Imitation:
    """Behaviour cloning or DAgger, as `config` says."""

    config: BCConfig | DAggerConfig
    root_seed: int

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        match self.config:
            case BCConfig():
                guide_acts = True
            case DAggerConfig(guide_decay=decay):
                guide_acts = draw("guide acts") < decay**iteration
        who = Who.GUIDE if guide_acts else Who.LEARNER
        return RollIn(who, who, switch=0, ask_labels=not guide_acts)

    def update(self, learner: Learner, batch: Batch, iteration: int) -> UpdateReport:
        if (new := labelled_states(batch)) is not None:
            learner.labelled = new.joined(learner.labelled)
        labelled = learner.labelled
        if labelled is None:
            step = PolicyStep(UpdateStatus.NO_STEPS)
        else:
            key = (self.root_seed, "minibatches", iteration)
            step = imitation_step(learner.policy, learner.optimisers["policy"], labelled, self.config, key)
        return UpdateReport(**vars(step), phase=self.config.name, policy_steps=len(labelled or ()), critic_steps=0)
