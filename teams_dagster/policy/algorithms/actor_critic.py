"""The update that TRPO, PPO, PPO++ and AggreVaTeD share: estimate advantages, fit the critic, move the policy.

They differ in which steps train the policy, which fit the critic, and whose value the critic learns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from teams_dagster.policy.algorithms.batch import Batch
from teams_dagster.policy.algorithms.config import LBFGSCriticConfig, PPOConfig, TRPOConfig
from teams_dagster.policy.algorithms.critic import fit_adam, fit_lbfgs
from teams_dagster.policy.algorithms.imitation import imitation_step
from teams_dagster.policy.algorithms.kl_reference import gap, mean_gap
from teams_dagster.policy.algorithms.labelled import labelled_states
from teams_dagster.policy.algorithms.learner import Learner
from teams_dagster.policy.algorithms.minibatches import Key, rows
from teams_dagster.policy.algorithms.objectives import Judge, sampled
from teams_dagster.policy.algorithms.ppo import ppo_step
from teams_dagster.policy.algorithms.report import PolicyStep, UpdateReport, UpdateStatus
from teams_dagster.policy.algorithms.trpo import trpo_step
from teams_dagster.policy.estimators import advantages, discounted_returns, explained_variance, normalised


@dataclass(frozen=True)
class Estimates:
    """What a critic and the rewards say of each step; all of shape (episodes, steps)."""

    values: torch.Tensor
    """V(s), before the critic's fit."""
    returns: torch.Tensor
    """Discounted, bootstrapped where the episode was truncated."""
    gae: torch.Tensor
    """Generalised advantages (Schulman et al. 2016)."""


@dataclass(frozen=True)
class Plan:
    """What tells one actor-critic update from another."""

    phase: str
    critic: str
    """Whose value: a name in `Learner.critics`."""
    trained: torch.Tensor
    """(episodes, steps), bool: the policy learns these steps."""
    fitted: torch.Tensor
    """(episodes, steps), bool: the critic learns these."""
    advantages: Callable[[Estimates], torch.Tensor]
    step: TRPOConfig | PPOConfig
    key: Key
    """Names the stream that minibatches are drawn from."""


def actor_critic_update(learner: Learner, batch: Batch, plan: Plan) -> UpdateReport:
    """Fit the critic and move the policy, in place. What has no step is skipped: its optimiser takes no step."""
    estimates = estimate(learner, batch, plan.critic)
    features = rows(batch.features, plan.trained)
    fitted = features if torch.equal(plan.trained, plan.fitted) else rows(batch.features, plan.fitted)
    loss, explained = fit(learner, fitted, estimates, plan) if len(fitted) else (None, None)
    gains = plan.advantages(estimates)
    if len(features) and normalises_batch(plan.step):
        gains = normalised(gains, plan.trained)
    judge = sampled(rows(batch.actions, plan.trained), rows(gains, plan.trained))
    step = move_policy(learner, batch, features, judge, plan.step, plan.key)
    return UpdateReport(
        **vars(step),
        phase=plan.phase,
        policy_steps=len(features),
        critic_steps=len(fitted),
        critic_loss=loss,
        explained_variance=explained,
        kappa=learner.kappa if learner.kl else None,
    )


def estimate(learner: Learner, batch: Batch, critic: str) -> Estimates:
    """Values, returns and advantages of `batch` by one critic.

    Learner steps pay for leaving the reference policy, and what repeats another episode counts for nothing.
    """
    network, rewards = learner.critics[critic], priced_rewards(learner, batch)
    if batch.repeated_gains is not None:
        rewards = rewards - batch.repeated_gains
    final = torch.zeros_like(rewards[:, 0])
    with torch.no_grad():
        values = network(batch.features)
        if bool(batch.truncated.any()):
            final = torch.where(batch.truncated, network(batch.final_features), final)
    returns = discounted_returns(rewards, batch.valid, final, gamma=learner.gamma)
    gae = advantages(rewards, values, batch.valid, final, gamma=learner.gamma, decay=learner.decay)
    return Estimates(values, returns, gae)


def priced_rewards(learner: Learner, batch: Batch) -> torch.Tensor:
    """r - kappa (log pi_old(a|s) - log pi_ref(a|s)) on learner steps, r on others; then kappa is steered."""
    acted = batch.valid & batch.by_learner
    if learner.kl is None or not bool(acted.any()):
        return batch.rewards
    old, distance = gap(learner.policy, learner.reference, rows(batch.features, acted))
    price = torch.zeros_like(batch.rewards)
    price[acted] = learner.kappa * distance.gather(-1, rows(batch.actions, acted).unsqueeze(-1)).squeeze(-1)
    learner.steer(mean_gap(old, distance))
    return batch.rewards - price


def fit(learner: Learner, features: torch.Tensor, estimates: Estimates, plan: Plan) -> tuple[float, float]:
    """Fit the plan's critic: its loss after the fit and the share of variance that it explained before."""
    network, config = learner.critics[plan.critic], learner.critic
    targets = estimates.returns if config.targets == "returns" else estimates.gae + estimates.values
    explained = explained_variance(estimates.values, targets, plan.fitted)
    goals, values = rows(targets, plan.fitted), rows(estimates.values, plan.fitted)
    if isinstance(config, LBFGSCriticConfig):
        return fit_lbfgs(network, features, goals, config), explained
    optimiser = learner.optimisers[plan.critic]
    return fit_adam(network, optimiser, features, goals, values, config, plan.key), explained


def normalises_batch(config: TRPOConfig | PPOConfig) -> bool:
    """Whether advantages are normalised over the whole batch."""
    return isinstance(config, TRPOConfig) or config.normalise == "batch"


def move_policy(
    learner: Learner, batch: Batch, features: torch.Tensor, judge: Judge, config: TRPOConfig | PPOConfig, key: Key
) -> PolicyStep:
    """One step of the policy on the states `features`; where there is none, on the guide's labels if they count."""
    policy = learner.policy
    if isinstance(config, TRPOConfig):
        if not len(features):
            return PolicyStep(UpdateStatus.NO_STEPS)
        return trpo_step(lambda: policy(features), list(policy.parameters()), judge, config)
    optimiser = learner.optimisers["policy"]
    labelled = labelled_states(batch) if config.imitation_weight else None
    if len(features):
        return ppo_step(policy, optimiser, features, judge, labelled, config, key)
    if labelled:
        return imitation_step(policy, optimiser, labelled, config, key, config.imitation_weight)
    return PolicyStep(UpdateStatus.NO_STEPS)
