"""TRPO and PPO as algorithms: the learner acts every step and learns every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from teams_dagster.policy.algorithms.actor_critic import Plan, actor_critic_update
from teams_dagster.policy.algorithms.batch import Batch, RollIn, Who
from teams_dagster.policy.algorithms.config import PPOConfig, TRPOConfig
from teams_dagster.policy.algorithms.learner import Learner
from teams_dagster.policy.algorithms.report import UpdateReport


@dataclass(frozen=True)
class OnPolicy:
    """TRPO or PPO, as `step` says. With an imitation weight, the guide labels the states that the learner visits."""

    step: TRPOConfig | PPOConfig
    root_seed: int

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        return RollIn(Who.LEARNER, Who.LEARNER, switch=0, ask_labels=self.step.asks_guide)

    def update(self, learner: Learner, batch: Batch, iteration: int) -> UpdateReport:
        return learn_own_steps(learner, batch, self.step, (self.root_seed, "minibatches", iteration), self.step.name)


def learn_own_steps(
    learner: Learner, batch: Batch, step: TRPOConfig | PPOConfig, key: tuple[str | int, ...], phase: str
) -> UpdateReport:
    """Train the policy and the critic of its own value on the learner's steps, and on no other's."""
    own = batch.valid & batch.by_learner
    plan = Plan(phase, "learner", own, own, lambda estimates: estimates.gae, step, key)
    return actor_critic_update(learner, batch, plan)
